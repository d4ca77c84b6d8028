"""Answers to a probe that will not change by themselves, and what helps against each."""

from collections.abc import Mapping

import attrs

from blue_green.config.kinds import Count, Period, Status
from blue_green.config.site_settings import HealthSettings
from blue_green.site import health

LASTING = 50
"""Answers of one kind in a row, a tenth of a second apart, after which it is expected to stay."""

REFUSES = "the app most likely refuses the Host header {host}"
ADVICE: Mapping[int, tuple[str, str]] = {
    **dict.fromkeys(
        health.REDIRECTS,
        (
            "a page that redirects says nothing of whether the app works",
            'set host = "the site\'s public name" in [health], or a path that is not redirected',
        ),
    ),
    **dict.fromkeys(
        (400, 403, 421),
        (
            REFUSES,
            'set host = "the site\'s public name" in [health], or have the app allow {host}',
        ),
    ),
    401: ("it wants a login", "set a path in [health] that is open, or status = [200, 401]"),
    404: ("it does not have this page", "set a path in [health] that it has"),
}
"""What an answer most likely means, and what helps."""


async def until_lasting(host: str, port: int, settings: HealthSettings) -> None:
    """Wait until one of these answers has come again and again; raise `StepFailed` very late."""
    known = tuple(Status(status) for status in ADVICE if status not in settings.status)
    patient = Period(2 * settings.start_timeout + 60)
    doubtful = attrs.evolve(settings, status=known, rise=Count(LASTING), start_timeout=patient)
    await health.until_healthy(host, port, doubtful)


async def explanation(host: str, port: int, settings: HealthSettings) -> tuple[str, str] | None:
    """What its answer most likely means, and what helps; None for one that tells nothing."""
    named = settings.host or f"{host}:{port}"
    failed = await health.probe(host, port, settings)
    if failed is None or failed.status not in ADVICE:
        return None
    what, then = (text.format(host=named, status=failed.status) for text in ADVICE[failed.status])
    https, localhost = {"https": True}, {"host": "localhost"}
    for changed, means, helps in (
        (https, "the app redirects to https", "set https = true in [health]"),
        (
            localhost,
            f"the app refuses the Host header {named}, and takes localhost",
            'set host = "localhost" in [health]',
        ),
        (
            https | localhost,
            "the app redirects to https, and takes the Host header localhost",
            'set https = true and host = "localhost" in [health]',
        ),
    ):
        if await health.probe(host, port, attrs.evolve(settings, **changed)) is None:
            what, then = means, helps
            break
    return f"{failed.why}: {what}", then
