"""The certificates that a running supervisor has."""

from blue_green.config.settings import SiteSettings
from blue_green.preflight.checks.context import RunningSupervisor
from blue_green.preflight.checks.finding import Findings, passed, warned
from blue_green.system.printable import counted

MAX_NAMED = 5
"""Hosts that are named."""


def current(site: SiteSettings, running: RunningSupervisor | None) -> Findings:
    """What the supervisor says about the certificates for the hosts of a site."""
    certificates = running.certificates.get(site.name, ()) if running else ()
    troubled = [one for one in certificates if one["problem"]]
    for one in troubled[:MAX_NAMED]:
        yield warned("hosts", f"{one['host']}: {one['problem']}", "")
    if (more := len(troubled) - MAX_NAMED) > 0:
        hosts = counted(more, "more host")
        yield warned("hosts", f"{hosts} with certificate problems", "see blue-green status --json")
    ends = [one["valid_until"] for one in certificates if one["valid_until"]]
    if ends and not troubled:
        yield passed("hosts", f"{counted(len(ends), 'certificate')}, valid until {min(ends)[:10]}")
