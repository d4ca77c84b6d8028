"""Whether held requests wait long enough for a restart after a crash."""

from blue_green.config.settings import SiteSettings
from blue_green.preflight.checks.finding import Findings, passed, warned


def hold(settings: SiteSettings) -> Findings:
    """After a crash, an app of which only one copy may run is down until it has restarted."""
    if settings.swap.strategy != "exclusive":
        return
    waits, starts = settings.hold.timeout, settings.health.start_timeout
    if waits >= starts:
        yield passed(
            "[hold] timeout", f"held requests wait {waits:g} s, as long as a start may take"
        )
        return
    yield warned(
        "[hold] timeout",
        f"after a crash, held requests get 503 after {waits:g} s, but a restart may take "
        f"{starts:g} s",
        "raise timeout in [hold] above start_timeout in [health], or lower start_timeout",
    )
