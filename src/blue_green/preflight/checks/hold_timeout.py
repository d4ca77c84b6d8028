"""Whether requests wait as long as what they wait for may take."""

from blue_green.config.settings import Settings
from blue_green.preflight.checks.finding import Findings, passed, warned


def hold(settings: Settings) -> Findings:
    """After a crash, an app of which one copy may run is not there until it has started again."""
    if settings.swap.strategy != "exclusive":
        return
    waits, starts = settings.hold.timeout, settings.health.start_timeout
    if waits >= starts:
        yield passed("[hold] timeout", f"requests wait for {waits:g} s, and a start may take less")
        return
    yield warned(
        "[hold] timeout",
        f"when the app has crashed, requests get 503 after {waits:g} s, and a start may take "
        f"{starts:g} s",
        "set timeout in [hold] above the start_timeout of [health], or that to what a start takes",
    )
