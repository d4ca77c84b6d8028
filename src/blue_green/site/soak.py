"""The soak: the time after the switch in which a failure of the new release reverts the swap."""

import trio

from blue_green.site import unanswered
from blue_green.site.processes.generation import Generation
from blue_green.site.slot import Slot
from blue_green.site.swap import Swap
from blue_green.source.failure import StepFailed


async def first_failure(swap: Swap, candidate: Slot, old: Slot) -> StepFailed:
    """Wait until a backend or a process of the new release fails; how it did.

    The output of a backend is not complete yet, and left out.
    """
    failures: list[StepFailed] = []
    patience = unanswered.longest_silence(old.recent.recent())
    async with trio.open_nursery() as nursery:

        async def watch_backends() -> None:
            failures.append(StepFailed(await candidate.first_failure(swap.settings, patience)))
            nursery.cancel_scope.cancel()

        async def watch_processes(generation: Generation) -> None:
            await generation.failed.wait()
            assert generation.failure is not None
            failures.append(generation.failure)
            nursery.cancel_scope.cancel()

        nursery.start_soon(watch_backends)
        if swap.site.processes.generation is not None:
            nursery.start_soon(watch_processes, swap.site.processes.generation)
    return failures[0]
