"""Backends that an earlier supervisor left behind when it was killed: found, and ended.

They are known by the mark in their environment, by their tag, and by what the state file remembers.
Whatever is signalled was verified to be the process that is meant, and is signalled through a
pidfd, so that a pid that was given to somebody else since is never hit.
"""

import logging
import os
import signal
from collections.abc import Sequence

import trio

from blue_green.site.state import RecordedBackend
from blue_green.system import procfs
from blue_green.system.process import Process

logger = logging.getLogger(__name__)

AFTER_KILL = 5.0
"""Seconds that a process may take to be gone after KILL."""


async def end_orphans(
    mark: str,
    remembered: list[RecordedBackend],
    *,
    how: signal.Signals,
    timeout: float,
    ours: Sequence[Process] = (),
) -> None:
    """End them all, kindly at first; return when none is left, and with it none of its sockets.

    Those of `ours`, with their families, were handed over to us and stay.
    """
    for patience, signal_ in ((timeout, how), (AFTER_KILL, signal.SIGKILL)):
        found = await trio.to_thread.run_sync(_find, mark, remembered, ours)
        if not found:
            return
        logger.warning("an earlier supervisor left these behind: %s for pids %s",
                       signal_.name, list(found))  # fmt: skip
        with trio.move_on_after(patience):
            async with trio.open_nursery() as nursery:
                for pid, began in found.items():
                    nursery.start_soon(_end, pid, began, signal_)
    if found := await trio.to_thread.run_sync(_find, mark, remembered, ours):
        logger.error("these cannot be ended: pids %s", list(found))


async def _end(pid: int, began: int, how: signal.Signals) -> None:
    """Signal it, and wait until it is gone: a pidfd is readable after the last file is closed."""
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return
    try:
        if procfs.send(how, pid, began):
            await trio.lowlevel.wait_readable(handle)
    finally:
        trio.lowlevel.notify_closing(handle)
        os.close(handle)


def _find(mark: str, remembered: list[RecordedBackend], ours: Sequence[Process]) -> dict[int, int]:
    """Those that still run, each with when it began."""
    found = {}
    for pid in procfs.marked(mark):
        if (began := procfs.start_time(pid)) is not None:
            found[pid] = began
    for running in remembered:
        if procfs.is_alive(running.pid) and procfs.start_time(running.pid) == running.began:
            found[running.pid] = running.began
    for process in ours:
        for pid in (process.pid, *procfs.family(process.mark, process.pid)):
            found.pop(pid, None)
    return found
