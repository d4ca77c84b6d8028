"""Whether held requests wait long enough for the start that they wait for."""

from blue_green.config.settings import SiteSettings
from blue_green.preflight.checks.finding import Findings, passed, warned

ADVICE = "raise timeout in [hold] above start_timeout in [health], or lower start_timeout"


def hold(site: SiteSettings) -> Findings:
    """While only one copy of an app may run, or it sleeps, nothing answers before a start ends."""
    waits, starts = site.hold.timeout, site.health.start_timeout
    sleeps, is_exclusive = site.idle.after is not None, site.swap.strategy == "exclusive"
    if not (sleeps or is_exclusive):
        return
    if waits >= starts:
        yield passed(
            "[hold] timeout", f"held requests wait {waits:g} s, as long as a start may take"
        )
    elif sleeps:
        yield warned(
            "[hold] timeout",
            f"the first visitor of a site that is asleep gets 503 after {waits:g} s, but a start "
            f"may take {starts:g} s",
            ADVICE,
        )
    else:
        yield warned(
            "[hold] timeout",
            f"after a crash, held requests get 503 after {waits:g} s, but a restart may take "
            f"{starts:g} s",
            ADVICE,
        )
