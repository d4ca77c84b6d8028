"""Backends that an earlier supervisor left behind when it was killed: found, and ended.

They are known by the mark in their environment, and by what the state file remembers. Whatever is
signalled was verified to be the process that is meant, and is signalled through a pidfd, so that a
pid that was given to somebody else since is never hit.
"""

import logging
import signal

import trio

from blue_green import procfs
from blue_green.state import Running

logger = logging.getLogger(__name__)

LOOK_EVERY = 0.02


async def end_leftovers(
    mark: str, remembered: list[Running], *, how: signal.Signals, timeout: float
) -> None:
    """End them all, kindly at first; return when none is left."""
    found = await trio.to_thread.run_sync(_find, mark, remembered)
    if not found:
        return
    logger.warning("an earlier supervisor left processes behind, which are ended: %s", list(found))
    for pid, began in found.items():
        procfs.send(how, pid, began)
    with trio.move_on_after(timeout):
        while await trio.to_thread.run_sync(_find, mark, remembered):
            await trio.sleep(LOOK_EVERY)
        return
    for pid, began in (await trio.to_thread.run_sync(_find, mark, remembered)).items():
        procfs.send(signal.SIGKILL, pid, began)


def _find(mark: str, remembered: list[Running]) -> dict[int, int]:
    """Those that still run, each with when it began."""
    found = {}
    for pid in procfs.marked(mark):
        if (began := procfs.start_time(pid)) is not None:
            found[pid] = began
    for process in remembered:
        if procfs.is_alive(process.pid) and procfs.start_time(process.pid) == process.began:
            found[process.pid] = process.began
    return found
