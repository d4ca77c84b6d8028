"""A swap from top to bottom: from a wanted revision to a receipt.

Up to the switch (in an exclusive swap, to the hold) a newer wanted revision calls the swap off.
From there it is carried through, since turning back would cost more than going on.
"""

import logging
from datetime import UTC, datetime

from blue_green.site import data_check, exclusive, overlap, strategy
from blue_green.site.receipt import Receipt, Result
from blue_green.site.state import quarantined
from blue_green.site.swap import Swap
from blue_green.site.trigger import Trigger
from blue_green.source.failure import DeployRefused, MachineFault, StepFailed, SwapCancelled
from blue_green.source.release import Release
from blue_green.system.process import environment

logger = logging.getLogger(__name__)


async def run(swap: Swap) -> Receipt:
    """Carry the swap out. Expected failures are in the receipt."""
    swap.site.releases.use(swap.settings.release, environment(swap.settings))
    tally = swap.site.gate.start_tally()
    try:
        with swap.until_switch:
            outcome = await _run(swap)
        if swap.until_switch.cancelled_caught:
            outcome = swap.end("superseded", "something else was wanted")
    except SwapCancelled as error:
        swap.is_refused = isinstance(error, DeployRefused)
        outcome = swap.end("failed", str(error))
    except StepFailed as failure:
        outcome = await swap.failed(failure)
    except OSError as error:
        outcome = await swap.failed(MachineFault(str(error)))
    except Exception as error:
        # What serves goes on, whatever we did wrong.
        logger.exception("swap %s: an error of our own", swap.revision[:7])
        outcome = await swap.failed(MachineFault(f"an error of our own: {error!r}"))
    if outcome == "reverted" and swap.release:
        await data_check.report(swap, swap.release)
    if outcome != "promoted" and swap.rebuild and swap.release:
        await swap.site.releases.discard(swap.release)
    receipt, numbers = swap.receipt, swap.site.gate.tally_since(tally)
    receipt.outcome = outcome
    receipt.held, receipt.longest_hold = numbers.held, numbers.longest_hold
    receipt.retried, receipt.cut, receipt.failed = numbers.retried, numbers.cut, numbers.failed
    receipt.at = datetime.now(UTC).isoformat(timespec="seconds")
    swap.phase = ""
    return receipt


async def _run(swap: Swap) -> Result:
    site, state = swap.site, swap.site.state
    live = site.slots.live
    is_live = live is not None and bool(live.backends) and swap.receipt.previous == swap.revision
    if not swap.retry and is_live:
        return swap.end("unchanged", "it is live already")
    why = state.quarantine.get(swap.revision)
    if why and live is not None and not swap.retry:
        swap.receipt.output = state.last_output(swap.revision)
        raise DeployRefused(quarantined(why))
    await data_check.check(swap, live)  # Before the build, which would be for nothing.
    swap.release = release = await _prepare(swap)
    await data_check.check(swap, live)
    if live is None:
        return await overlap.run(swap, None, release)
    is_way_back = swap.trigger is Trigger.ROLLBACK and not site.releases.in_place
    if is_way_back and (warm := site.retirement.take_back(swap.revision)):
        return await overlap.run(swap, live, release, warm)
    with swap.timed("retire" if site.retirement.slot else ""):
        await site.retirement.hurry()
    if await strategy.must_be_exclusive(swap, live):
        return await exclusive.run(swap, live, release)
    return await overlap.run(swap, live, release)


async def _prepare(swap: Swap) -> Release:
    releases = swap.site.releases
    is_live = swap.receipt.previous == swap.revision
    is_to_be_made = releases.in_place or swap.rebuild
    release = None if is_to_be_made else releases.find(swap.revision)
    if release is not None and (is_live or not await releases.lacks_links(release)):
        return release
    if release is not None:
        await swap.site.retirement.hurry()  # It is made again where the old one may still run.
    with swap.timed("checkout"):
        release = await releases.add(swap.revision, beside=swap.rebuild)
    # In place there is always a build, but not for what has been built and runs already.
    is_built = releases.in_place and swap.trigger in (Trigger.HEALTH, Trigger.RESTART)
    with swap.timed("build" if releases.config.build and not is_built else ""):
        if not is_built:
            await releases.build(release)
    return release
