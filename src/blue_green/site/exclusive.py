"""The exclusive strategy: the old release stops before the new one starts, and requests wait.

The live release finishes its in-flight requests and is stopped. Then the new one starts and gets
the requests that were held. If it fails, the old release is started again and gets them.
"""

from collections.abc import Sequence

import trio

from blue_green.routing.lease import Lease, cut
from blue_green.site import data_check
from blue_green.site.draining import drain, requests_of, still_in_flight, until_ended
from blue_green.site.receipt import Result
from blue_green.site.slot import Slot
from blue_green.site.swap import Swap, in_flight_of, output_of
from blue_green.site.trigger import Trigger
from blue_green.source.failure import SwapCancelled
from blue_green.source.release import Release

HOLDER = "swap"


async def run(swap: Swap, old: Slot, release: Release) -> Result:
    """Replace `old` with this release; raise a phase's error once `old` serves again."""
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
        await data_check.check_again(swap, old)  # The old release can write nothing any more.
        if failure := await _replace(swap, candidate, release):
            backends = candidate.backends
            await _bring_back(swap, old, candidate)
            return swap.reverted(failure, output_of(backends))
    except SwapCancelled:
        raise  # The old release still serves.
    except Exception:
        await _bring_back(swap, old, candidate)
        raise
    finally:
        site.gate.resume(HOLDER)
    return await swap.promote(candidate)


async def _let_finish(swap: Swap, requests: Sequence[Lease]) -> None:
    """Wait for the requests that are in flight now. New ones are still served meanwhile."""
    if swap.trigger is Trigger.HEALTH:
        return  # A release that hangs will not finish anything.
    with swap.timed("finish" if requests else ""):
        with trio.move_on_after(swap.settings.swap.drain_timeout):
            await until_ended(requests)
    _check_overdue(swap, sum(lease.is_open and not lease.is_stream for lease in requests))


async def _hold_and_drain(swap: Swap, old: Slot, slow: Sequence[Lease]) -> None:
    """Hold new requests and wait for those in flight, except the slow ones: their time is up."""
    swap.site.gate.hold(HOLDER, stops_timeouts=True)
    overdue = [lease for lease in slow if lease.is_open and not lease.is_stream]
    in_flight = in_flight_of(old) - len(overdue)
    cut(overdue)
    left = await drain(old.targets, swap.settings.swap.drain_timeout)
    _check_overdue(swap, left)
    cut(requests_of(old.targets))
    swap.receipt.drained = in_flight - left


def _check_overdue(swap: Swap, left: int) -> None:
    """Raise `SwapCancelled` if requests are still in flight and `overdue` is "call-off"."""
    settings = swap.settings.swap
    if left and settings.overdue == "call-off" and swap.trigger is not Trigger.HEALTH:
        raise SwapCancelled(still_in_flight(left, settings.drain_timeout))


async def _replace(swap: Swap, candidate: Slot, release: Release) -> str:
    """Start the new release in an idle slot; how it failed after the switch, if it did."""
    site = swap.site
    async with swap.starting(candidate, release):
        await swap.migrate(release)
        await swap.start(candidate, release)
        await swap.switch(candidate, None)
    site.gate.resume(HOLDER)
    failure = ""
    soak = swap.settings.swap.soak
    with swap.timed("soak" if soak else ""):
        with trio.move_on_after(soak):
            failure = await candidate.first_failure(swap.settings)
    if failure:
        site.gate.hold(HOLDER, stops_timeouts=True)
        cut(requests_of(candidate.targets))
    return failure


async def _bring_back(swap: Swap, old: Slot, candidate: Slot) -> None:
    """Start the old release again, and supervise it."""
    site = swap.site
    assert old.release is not None
    with swap.timed("bring back"):
        await candidate.stop()
        site.slots.go_live(old)
        old.supervise()
        await old.until_settled()
