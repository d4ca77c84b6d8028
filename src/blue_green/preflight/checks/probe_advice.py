"""Probe responses that will not change by themselves, and how to fix the cause of each."""

from collections.abc import Mapping

import attrs

from blue_green.config.kinds import Count, Period, Status
from blue_green.config.site_settings import HealthSettings
from blue_green.routing.lease import Target
from blue_green.site import health

LASTING = 50
"""Equal responses in a row, a tenth of a second apart, after which no other is expected."""

REFUSES = "the app most likely refuses the Host header {host}"
ADVICE: Mapping[int, tuple[str, str]] = {
    **dict.fromkeys(
        health.REDIRECTS,
        (
            "a redirect does not show whether the app works",
            'set host = "the site\'s public name" in [health], or a path that is not redirected',
        ),
    ),
    **dict.fromkeys(
        health.HOST_REFUSED,
        (
            REFUSES,
            'set host = "the site\'s public name" in [health], or have the app allow {host}',
        ),
    ),
    401: (
        "the path requires a login",
        "set a path in [health] without a login, or status = [200, 401]",
    ),
    404: ("the app does not have this path", "set a path in [health] that exists"),
    405: ("the path does not accept GET", "set a path in [health] that answers GET"),
}
"""For each status: the most likely cause, and how to fix it."""


async def until_lasting(target: Target, settings: HealthSettings) -> None:
    """Wait until one of these responses has come `LASTING` times in a row.

    Raises `StepFailed` if that does not happen, long after the start timeout.
    """
    known = tuple(Status(status) for status in ADVICE if status not in settings.status)
    patient = Period(2 * settings.start_timeout + 60)
    doubtful = attrs.evolve(settings, status=known, rise=Count(LASTING), start_timeout=patient)
    await health.until_healthy(target, doubtful)


async def explanation(target: Target, settings: HealthSettings) -> tuple[str, str] | None:
    """The most likely cause of the probe's response, and how to fix it; None if unknown."""
    named = settings.host or target.default_host.decode()
    failed = await health.probe(target, settings)
    if failed is None or failed.status not in ADVICE:
        return None
    what, then = (text.format(host=named, status=failed.status) for text in ADVICE[failed.status])
    https, localhost = {"https": True}, {"host": "localhost"}
    for changed, means, helps in (
        (https, "the app redirects to https", "set https = true in [health]"),
        (
            localhost,
            f"the app refuses the Host header {named}, and accepts localhost",
            'set host = "localhost" in [health]',
        ),
        (
            https | localhost,
            "the app redirects to https, and accepts the Host header localhost",
            'set https = true and host = "localhost" in [health]',
        ),
    ):
        if await health.probe(target, attrs.evolve(settings, **changed)) is None:
            what, then = means, helps
            break
    return f"{failed.why}: {what}", then
