"""A check before a swap: does the live release hold data that the next release would not see?"""

from functools import partial

from blue_green.site.slot import Slot
from blue_green.site.swap import Swap
from blue_green.source import stray_scan, stray_text
from blue_green.source.failure import MachineFault
from blue_green.source.release import Release


async def check(swap: Swap, live: Slot | None, *, seconds: float = stray_scan.MAX_SECONDS) -> None:
    """Raise `MachineFault` if the live release holds a database that must not stay behind."""
    if live is None or live.release is None:
        return
    if live.release.revision == swap.revision and not swap.rebuild:
        return
    scan = partial(swap.site.releases.stray_data_in, live.release.path, seconds=seconds)
    # The strict scan finds everything that the other one does. It mostly finds nothing, and then
    # one scan is enough.
    undeletable = await scan(before_deleting=True)
    if undeletable is None:
        return
    found = await scan()
    if found and found.databases and swap.settings.swap.stray_data == "refuse":
        raise MachineFault(stray_text.refusal(found, swap.site.label, swap.command()))
    swap.receipt.warning = (
        stray_text.warning(found, swap.site.label) if found else stray_text.kept(undeletable)
    )


async def check_again(swap: Swap, live: Slot | None) -> None:
    """Check again, briefly, for what was written since `check`: a candidate or requests wait."""
    await check(swap, live, seconds=stray_scan.HELD_SECONDS)


async def report(swap: Swap, release: Release) -> None:
    """Warn of data in a release that was reverted, for which it is too late to refuse the swap."""
    if found := await swap.site.releases.stray_data_in(release.path):
        swap.receipt.warning = stray_text.warning(found, swap.site.label)
