"""Whether a running supervisor has a site in maintenance, which somebody may have forgotten."""

from blue_green.config.command_line import command_line
from blue_green.config.settings import SiteSettings
from blue_green.preflight.checks.context import RunningSupervisor
from blue_green.preflight.checks.finding import Findings, warned


def current(site: SiteSettings, running: RunningSupervisor | None, label: str) -> Findings:
    """What the supervisor says about a site; `label` is its name if there are several."""
    found = running.maintenance.get(site.name) if running else None
    if found:
        until = f"until {found['until']}" if found["until"] else "until further notice"
        yield warned(
            "maintenance",
            f"new requests get 503 {until}, since {found['since']}",
            f"to end it: {command_line('maintenance off', label)}",
        )
