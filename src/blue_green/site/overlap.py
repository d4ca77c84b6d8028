"""The overlap strategy: the new release starts beside the live one, and requests never wait.

Once it is healthy, one assignment makes it live. The old release finishes its requests, stays warm
during the soak, and is stopped.

The soak is for the processes of the release, too. Those that start when the old ones have finished
their work prolong it, unless another deploy waits for its end.
"""

import logging

import trio
from attrs import evolve

from blue_green.config.kinds import Seconds
from blue_green.routing.client_limits import limited
from blue_green.site import data_check, soak
from blue_green.site.candidate_trial import on_trial
from blue_green.site.draining import drain
from blue_green.site.receipt import Result
from blue_green.site.retirement import HURRY_TIMEOUT
from blue_green.site.rollback import ROLLBACK_REQUESTED
from blue_green.site.slot import Slot
from blue_green.site.soak_results import SoakResults
from blue_green.site.soak_verdict import SoakVerdict
from blue_green.site.swap import Swap, in_flight_of, last_output_of
from blue_green.site.unanswered import until_not_silent
from blue_green.source.failure import StepFailed
from blue_green.source.release import Release

logger = logging.getLogger(__name__)


async def run(swap: Swap, old: Slot | None, release: Release, warm: Slot | None = None) -> Result:
    """Start this release beside `old`, and switch; raise the error of a failed phase.

    `warm` is the slot in which the release already runs, if there is one.
    """
    await swap.migrate(release)
    async with swap.starting(swap.site.slots.idle, release, is_warm=bool(warm)) as candidate:
        await swap.start(candidate, release)
        await data_check.check_again(swap, old)
        with on_trial(swap, old, candidate) as trial:
            if trial is not None:
                await trial.until_promoted()
                await data_check.check_again(swap, old)
            in_flight = await swap.switch(candidate, old)
    if old is None or (old.runs_nothing and candidate.runs_nothing):
        return await swap.promote(candidate)
    switched_at, results = trio.current_time(), SoakResults(candidate, old)
    with limited(candidate.results) as limits:
        verdict = SoakVerdict(swap, results, old, limits)
        failure = await _soak(swap, old, candidate, in_flight, verdict)
    if swap.settings.swap.soak:
        results.note_in(swap.receipt)
    if failure:
        return await _revert(swap, old, candidate, failure)
    swap.site.retirement.begin(old, swap.settings.swap, swap.receipt, switched_at=switched_at)
    return await swap.promote(candidate)


async def _soak(
    swap: Swap, old: Slot, candidate: Slot, in_flight: int, verdict: SoakVerdict
) -> StepFailed | None:
    """Watch the new release while the old one finishes; why it must be reverted, if it must."""
    failure: StepFailed | None = None
    swap.can_roll_back = True
    async with trio.open_nursery() as nursery:

        def fail(reason: StepFailed) -> None:
            nonlocal failure
            failure = failure or reason
            nursery.cancel_scope.cancel()

        async def watch() -> None:
            fail(await soak.first_failure(swap, candidate, old))

        async def watch_traffic() -> None:
            fail(await verdict.until_clearly_worse())

        async def until_rollback() -> None:
            await swap.rollback_requested.wait()
            fail(StepFailed(ROLLBACK_REQUESTED))

        nursery.start_soon(watch)
        nursery.start_soon(watch_traffic)
        nursery.start_soon(until_rollback)
        await _soak_phases(swap, old)
        if swap.settings.swap.soak:
            await _until_settled(swap, candidate, verdict)
        nursery.cancel_scope.cancel()
    swap.can_roll_back = False
    failure = failure or verdict.failure(is_last=True)
    swap.receipt.drained = in_flight - in_flight_of(old)
    if swap.rollback_requested.is_set():
        failure = failure or StepFailed(ROLLBACK_REQUESTED)
    return failure


async def _until_settled(swap: Swap, candidate: Slot, verdict: SoakVerdict) -> None:
    """Wait for responses of the new release that are due, and might take it back by not coming."""
    is_settled = verdict.is_settled and not any(target.is_silent for target in candidate.targets)
    with swap.timed("" if is_settled else "wait for responses"):
        await verdict.until_settled()
        await until_not_silent(candidate.targets, swap.settings.serving.response_timeout)


async def _soak_phases(swap: Swap, old: Slot) -> None:
    """Let the time of the soak pass, for the backends and then for processes that start later."""
    seconds = swap.settings.swap.soak
    until = trio.current_time() + seconds
    with swap.timed("drain"):
        await drain(old.targets, seconds)
    if not seconds:
        return
    async with trio.open_nursery() as nursery:

        async def end_for_newer() -> None:
            await trio.sleep_until(until)
            await swap.newer_requested.wait()
            logger.info("swap %s: another deploy waits for its soak to end", swap.revision[:7])
            nursery.cancel_scope.cancel()

        nursery.start_soon(end_for_newer)
        processes = swap.site.processes
        with swap.timed("hand over" if processes.are_handing_over else ""):
            started_at = await processes.until_started()
        with swap.timed("soak"):
            await trio.sleep_until(max(until, started_at + seconds))
        nursery.cancel_scope.cancel()


async def _revert(swap: Swap, old: Slot, candidate: Slot, failure: StepFailed) -> Result:
    """Send traffic back to the old release at once, and retire the new one."""
    site, now = swap.site, trio.current_time()
    site.slots.go_live(old, keeps_processes=swap.keeps_processes)
    old.supervise()
    backends = candidate.backends
    settings = evolve(swap.settings.swap, stream_timeout=Seconds(HURRY_TIMEOUT))
    site.retirement.begin(candidate, settings, swap.receipt, switched_at=now)
    last_output = await last_output_of(backends)
    return await swap.reverted(type(failure)(str(failure), failure.output or last_output))
