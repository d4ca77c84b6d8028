"""The choice between an overlapping and an exclusive swap."""

import logging

from blue_green.config.command_line import command_line
from blue_green.site.slot import Slot
from blue_green.site.swap import Swap
from blue_green.site.trial_plan import TrialKind, TrialPlan, obstacle
from blue_green.site.trigger import Trigger
from blue_green.source.failure import MachineFault, SwapCancelled
from blue_green.system import memory, procfs, threads

logger = logging.getLogger(__name__)


def check_trial(swap: Swap) -> None:
    """Raise `SwapCancelled` for a trial that a reload has made impossible since it was planned."""
    if swap.plan is not None and (why := obstacle(swap.settings, swap.plan.kind)):
        raise SwapCancelled(f"no {swap.plan.kind} is possible: {why}")


async def must_be_exclusive(swap: Swap, live: Slot) -> bool:
    """Whether the settings or a lack of memory demand an exclusive swap.

    Raises `MachineFault` if memory is low and `low_memory` is "refuse"; or if it is "exclusive" and
    there is to be a trial, for which both releases have to run.
    """
    if swap.settings.is_static:
        return False
    settings = swap.settings.swap
    if settings.strategy == "exclusive":
        return True
    running = [backend.process for backend in live.backends]
    running += [process.process for process in swap.site.processes.doubled_by(swap.settings)]
    commands = [(process.env_marker, process.pid) for process in running]
    needed = await threads.run(procfs.memory_of, commands)
    free = await threads.run(memory.available)
    is_unhealthy = swap.trigger is Trigger.HEALTH
    decision = memory.decide(needed, free, settings.low_memory, is_unhealthy=is_unhealthy)
    if decision == "enough":
        return False
    has, uses = f"{free / 2**20:.0f} MiB", f"{needed / 2**20:.0f} MiB"
    reason = f"{has} of memory are available, and the live release uses {uses}"
    if decision == "refuse":
        raise MachineFault(f'{reason}: free some, or set low_memory = "exclusive" in [swap]')
    if decision == "exclusive" and swap.plan is not None:
        raise MachineFault(f"{reason}: {_no_room_for(swap.plan, swap)}")
    effect = "stopping it first" if decision == "exclusive" else "a second release may not fit"
    logger.warning("swap %s: %s: %s", swap.revision[:7], reason, effect)
    return decision == "exclusive"


def _no_room_for(plan: TrialPlan, swap: Swap) -> str:
    """Why there is no trial if the live release has to be stopped first, and what to do."""
    without = command_line("swap", swap.site.label, swap.revision[:7], "--canary", "0%")
    what_else = f", or deploy it without: {without}" if plan.kind is TrialKind.CANARY else ""
    return (
        f'low_memory = "exclusive" in [swap] would stop that first, and a {plan.kind} needs both: '
        f"free some{what_else}"
    )
