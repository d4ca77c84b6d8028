"""Exclusive: the old release is gone before the new one starts, and requests wait meanwhile.

The live release finishes what it has and is stopped; the new one starts; the requests that waited
go to it. If it fails, they go to the old release, started again.
"""

from collections.abc import Sequence

import trio

from blue_green.routing.lease import Lease, cut
from blue_green.site import data_check
from blue_green.site.draining import drain, requests_of, until_ended
from blue_green.site.receipt import Result
from blue_green.site.slots import Slot
from blue_green.site.swap import Swap, in_flight_of, output_of
from blue_green.site.trigger import Trigger
from blue_green.source.failure import SwapCancelled
from blue_green.source.release import Release

HOLDER = "swap"


async def run(swap: Swap, old: Slot, release: Release) -> Result:
    """Replace `old` by this release; raise what a phase fails with, when `old` serves again."""
    site, candidate = swap.site, swap.site.slots.idle
    slow = requests_of(old.targets)
    await _let_finish(swap, slow)
    await trio.lowlevel.checkpoint_if_cancelled()
    swap.is_past_switch = True
    try:
        with swap.timed("drain"):
            await _hold_and_drain(swap, old, slow)
        with swap.timed("stop"):
            site.gate.switch(())
            await old.stop()
        await data_check.check_again(swap, old)  # Nothing of it can write any more.
        if trouble := await _replace(swap, candidate, release):
            backends = candidate.backends
            await _bring_back(swap, old, candidate)
            return swap.reverted(trouble, output_of(backends))
    except SwapCancelled:
        raise  # It serves on.
    except Exception:
        await _bring_back(swap, old, candidate)
        raise
    finally:
        site.gate.resume(HOLDER)
    return await swap.promote(candidate)


async def _let_finish(swap: Swap, requests: Sequence[Lease]) -> None:
    """Wait for those that are in flight now while others are served: nobody waits for them."""
    if swap.trigger is Trigger.HEALTH:
        return  # One that hangs will not finish anything.
    with swap.timed("finish" if requests else ""):
        with trio.move_on_after(swap.settings.swap.drain_timeout):
            await until_ended(requests)
    _check_overdue(swap, sum(lease.is_open and not lease.is_stream for lease in requests))


async def _hold_and_drain(swap: Swap, old: Slot, slow: Sequence[Lease]) -> None:
    """Hold all requests, and wait for those in flight; the slow ones had their time before."""
    swap.site.gate.hold(HOLDER, is_patient=True)
    late = [lease for lease in slow if lease.is_open and not lease.is_stream]
    in_flight = in_flight_of(old) - len(late)
    cut(late)
    left = await drain(old.targets, swap.settings.swap.drain_timeout)
    _check_overdue(swap, left)
    cut(requests_of(old.targets))
    swap.receipt.drained = in_flight - left


def _check_overdue(swap: Swap, left: int) -> None:
    """Call the swap off if requests are still in flight, and that is what the settings want."""
    settings = swap.settings.swap
    if left and settings.overdue == "call-off" and swap.trigger is not Trigger.HEALTH:
        were = "request was" if left == 1 else "requests were"
        raise SwapCancelled(f"{left} {were} still in flight after {settings.drain_timeout:g} s")


async def _replace(swap: Swap, candidate: Slot, release: Release) -> str:
    """Start the new release where nothing runs; what is wrong with it after the switch."""
    site = swap.site
    async with swap.starting(candidate, release):
        await swap.migrate(release)
        await swap.start(candidate, release)
        await swap.switch(candidate, None)
    site.gate.resume(HOLDER)
    trouble = ""
    soak = swap.settings.swap.soak
    with swap.timed("soak" if soak else ""):
        with trio.move_on_after(soak):
            trouble = await candidate.first_failure(swap.settings)
    if trouble:
        site.gate.hold(HOLDER, is_patient=True)
        cut(requests_of(candidate.targets))
    return trouble


async def _bring_back(swap: Swap, old: Slot, candidate: Slot) -> None:
    """Start the old release again. From then on it is kept like any that is live."""
    site = swap.site
    assert old.release is not None
    with swap.timed("bring back"):
        await candidate.stop()
        site.slots.go_live(old)
        old.supervise()
        await old.settled.wait()
