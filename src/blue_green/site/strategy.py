"""Whether the old release has to be gone before the new one starts."""

import logging

import trio

from blue_green.site.slots import Slot
from blue_green.site.swap import Swap
from blue_green.site.trigger import Trigger
from blue_green.source.failure import MachineFault
from blue_green.system import memory, procfs

logger = logging.getLogger(__name__)


async def must_be_exclusive(swap: Swap, live: Slot) -> bool:
    """By the settings, or for lack of memory; raise `MachineFault` if that is to be refused."""
    settings = swap.settings.swap
    if settings.strategy == "exclusive":
        return True
    families = [(backend.process.mark, backend.process.pid) for backend in live.backends]
    needed = await trio.to_thread.run_sync(procfs.memory_of, families)
    free = await trio.to_thread.run_sync(memory.available)
    is_unwell = swap.trigger is Trigger.HEALTH
    decision = memory.decide(needed, free, settings.low_memory, is_unwell=is_unwell)
    if decision == "enough":
        return False
    has, uses = f"{free / 2**20:.0f} MiB", f"{needed / 2**20:.0f} MiB"
    why = f"{has} of memory are available, and the live release uses {uses}"
    if decision == "refuse":
        raise MachineFault(f'{why}: free some, or set low_memory = "exclusive" in [swap]')
    then = "so it is stopped first" if decision == "exclusive" else "a second may not fit"
    logger.warning("swap %s: %s: %s", swap.revision[:7], why, then)
    return decision == "exclusive"
