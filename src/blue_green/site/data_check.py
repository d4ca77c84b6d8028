"""Whether the live release holds data that a swap would take out of view."""

from functools import partial

from blue_green.site.slots import Slot
from blue_green.site.swap import Swap
from blue_green.source import stray_data, stray_scan
from blue_green.source.failure import MachineFault
from blue_green.source.release import Release


async def check(swap: Swap, live: Slot | None, *, seconds: float = stray_scan.MOST_SECONDS) -> None:
    """Raise `MachineFault` if what the live release has written must not be left there."""
    if live is None or live.release is None:
        return
    if live.release.revision == swap.revision and not swap.rebuild:
        return
    look = partial(swap.site.releases.stray_data_in, live.release.path, seconds=seconds)
    # The stricter look finds all that the other one does: mostly nothing, and one is enough.
    kept = await look(before_deleting=True)
    if kept is None:
        return
    found = await look()
    if found and found.databases and swap.settings.swap.stray_data == "refuse":
        raise MachineFault(stray_data.refusal(found))
    swap.receipt.warning = stray_data.warning(found) if found else stray_data.kept(kept)


async def check_again(swap: Swap, live: Slot | None) -> None:
    """As `check`, while a candidate or requests wait: it serves since the last look."""
    await check(swap, live, seconds=stray_scan.HELD_SECONDS)


async def report(swap: Swap, release: Release) -> None:
    """Say what was written into a release that was given up: that cannot be refused."""
    if found := await swap.site.releases.stray_data_in(release.path):
        swap.receipt.warning = stray_data.warning(found)
