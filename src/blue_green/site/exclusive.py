"""The exclusive strategy: the old release stops before the new one starts, and requests wait.

The live release finishes its in-flight requests and is stopped. Then the new one starts and gets
the requests that were held. If it fails, the old release is started again and gets them.

Processes stop first, while requests are still served: they may take long to finish their work.
"""

from collections.abc import Sequence

import trio

from blue_green.routing.lease import Lease, cut
from blue_green.site import data_check, soak
from blue_green.site.draining import drain, requests_of, still_in_flight, until_ended
from blue_green.site.receipt import Result
from blue_green.site.slot import Slot
from blue_green.site.soak_results import SoakResults
from blue_green.site.swap import Swap, in_flight_of, output_of
from blue_green.site.trigger import Trigger
from blue_green.site.unanswered import until_not_silent
from blue_green.source import launch
from blue_green.source.failure import StepFailed, SwapCancelled
from blue_green.source.release import Release

HOLDER = "swap"


async def run(swap: Swap, old: Slot, release: Release) -> Result:
    """Replace `old` with this release; raise a phase's error once `old` serves again."""
    site, candidate = swap.site, swap.site.slots.idle
    slow = requests_of(old.targets)
    # An `env_file` that cannot be used would keep the old release from starting again, too.
    await launch.prepare(release, swap.settings, owner=site.git.owner, user=site.user)
    await _let_finish(swap, slow)
    try:
        await _quiesce(swap, old, slow)
        with swap.timed("stop"):
            site.gate.switch(())
            await _stop_all(swap, old)
        await data_check.check_again(swap, old)  # The old release can write nothing any more.
        if failure := await _replace(swap, old, candidate, release):
            backends = candidate.backends
            await _bring_back(swap, old, candidate)
            output = failure.output or output_of(backends)
            return await swap.reverted(type(failure)(str(failure), output))
    except SwapCancelled:
        raise  # The old release still serves.
    except Exception:
        await _bring_back(swap, old, candidate)
        raise
    finally:
        site.gate.resume(HOLDER)
    return await swap.promote(candidate)


async def _quiesce(swap: Swap, old: Slot, slow: Sequence[Lease]) -> None:
    """Stop the processes of the old release, hold new requests, and let all others finish."""
    processes = swap.site.processes
    generation = processes.generation
    try:
        if swap.trigger is not Trigger.HEALTH:  # A release that hangs serves nothing meanwhile.
            with swap.timed("stop processes" if processes.running else ""):
                await processes.stop()
        await trio.lowlevel.checkpoint_if_cancelled()
        swap.is_past_switch = True
        swap.site.sleep.end()
        with swap.timed("drain"):
            await _hold_and_drain(swap, old, slow)
    except (SwapCancelled, trio.Cancelled):
        if processes.generation is not generation:
            processes.use(generation)  # The old release goes on.
        raise


async def _stop_all(swap: Swap, slot: Slot) -> None:
    """Stop the backends in this slot, and the processes of its release."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(slot.stop)
        if not swap.keeps_processes:
            nursery.start_soon(swap.site.processes.stop)


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


async def _replace(swap: Swap, old: Slot, candidate: Slot, release: Release) -> StepFailed | None:
    """Start the new release in an idle slot; how it failed after the switch, if it did."""
    site = swap.site
    async with swap.starting(candidate, release):
        await swap.migrate(release)
        await swap.start(candidate, release)
        await swap.switch(candidate, None)
    site.gate.resume(HOLDER)
    results, seconds = SoakResults(candidate, old), swap.settings.swap.soak
    failure = None
    if seconds:
        with swap.timed("soak"):
            failure = await _soak(swap, candidate, old)
        results.note_in(swap.receipt)
    if failure:
        is_process = site.processes.have_failed
        if is_process:
            await _stop_processes_of(swap, candidate)
        site.gate.hold(HOLDER, stops_timeouts=True)
        if is_process:  # The backends still serve.
            await drain(candidate.targets, swap.settings.swap.drain_timeout)
        cut(requests_of(candidate.targets))
    return failure


async def _soak(swap: Swap, candidate: Slot, old: Slot) -> StepFailed | None:
    """Watch the new release; how it failed, if it did."""
    failure: StepFailed | None = None
    async with trio.open_nursery() as nursery:

        async def watch() -> None:
            nonlocal failure
            failure = await soak.first_failure(swap, candidate, old)
            nursery.cancel_scope.cancel()

        nursery.start_soon(watch)
        await trio.sleep(swap.settings.swap.soak)
        await until_not_silent(candidate.targets, swap.settings.serving.response_timeout)
        nursery.cancel_scope.cancel()
    return failure


async def _stop_processes_of(swap: Swap, slot: Slot) -> None:
    """Stop the processes while the backends can still serve, but not for longer than that."""
    with swap.timed("stop processes" if swap.site.processes.running else ""):
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                await slot.first_failure(swap.settings)
                nursery.cancel_scope.cancel()

            nursery.start_soon(watch)
            await swap.site.processes.stop()
            nursery.cancel_scope.cancel()


async def _bring_back(swap: Swap, old: Slot, candidate: Slot) -> None:
    """Start the old release again, and supervise it."""
    site = swap.site
    assert old.release is not None
    with swap.timed("bring back"):
        await _stop_all(swap, candidate)
        site.slots.go_live(old, keeps_processes=swap.keeps_processes)
        old.supervise()
        await old.until_settled()
