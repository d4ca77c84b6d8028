"""Answers to a probe that will not change by themselves, and what helps against each."""

from collections.abc import Mapping

import attrs

from blue_green import health
from blue_green.settings import Count, Health, Period

LASTING = 50
"""Answers of one kind in a row, a tenth of a second apart, after which it is expected to stay."""

REFUSES = "the app most likely refuses the Host header {host}"
ADVICE: Mapping[int, tuple[str, str]] = {
    **dict.fromkeys(
        (301, 302, 303, 307, 308),
        (
            f"{REFUSES}, or it redirects to https or to a login",
            'set host = "the site\'s public name" in [health], a path that is not redirected, or '
            "status = [200, {status}]",
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


async def until_lasting(host: str, port: int, settings: Health) -> None:
    """Wait until one of these answers has come again and again; raise `StepFailed` very late."""
    known = tuple(status for status in ADVICE if status not in settings.status)
    patient = Period(2 * settings.start_timeout + 60)
    doubtful = attrs.evolve(settings, status=known, rise=Count(LASTING), start_timeout=patient)
    await health.until_healthy(host, port, doubtful)


async def explanation(host: str, port: int, settings: Health) -> tuple[str, str] | None:
    """What its answer most likely means, and what helps; None for one that tells nothing."""
    asked, named = f"GET {settings.path}", settings.host or f"{host}:{port}"

    async def is_good(changed: Health) -> bool:
        return await health.probe(host, port, changed) is None

    for status, likely in ADVICE.items():
        if await is_good(attrs.evolve(settings, status=(status,))):
            what, then = (text.format(host=named, status=status) for text in likely)
            if await is_good(attrs.evolve(settings, host="localhost")):
                what = f"the app refuses the Host header {named}, and takes localhost"
                then = 'set host = "localhost" in [health]'
            return f"{asked} was answered {status}: {what}", then
    return None
