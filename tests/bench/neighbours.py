"""What other sites in trouble cost a calm one behind the same supervisor."""

from pathlib import Path

import trio

from tests.support.site_load import SiteLoad
from tests.support.troubled_sites import CALM, TroubledSites, troubled_sites


def table(directory: Path, rounds: int, seconds: float) -> None:
    """Measure and print."""
    print(f"\n{'a calm site while':<28}{'requests':>10}{'failed':>8}{'median':>11}{'p99':>11}")
    for number in range(rounds):
        trio.run(_one_round, directory / f"neighbours-{number}", seconds)


async def _one_round(directory: Path, seconds: float) -> None:
    async with troubled_sites(directory) as troubled:
        await _measure("the others are calm, too", troubled, seconds)
        await troubled.begin()
        await _measure("the others are in trouble", troubled, seconds)


async def _measure(name: str, troubled: TroubledSites, seconds: float) -> None:
    load = troubled.sites.load(CALM)
    async with load.going_on():
        await trio.sleep(seconds)
    _print(name, load)


def _print(name: str, load: SiteLoad) -> None:
    median, p99 = (1000 * load.percentile(share) for share in (0.5, 0.99))
    counts = f"{len(load.texts):>10}{len(load.failures):>8}"
    print(f"{name:<28}{counts}{median:>8.1f} ms{p99:>8.1f} ms")
