"""Orphans: backends and processes that an earlier supervisor left behind when it was killed.

They are found by the marker in their environment, by their resource-limit tag, and by the pids in
the state file. Each process is verified and then signalled through a pidfd, so that a pid that was
reused since is never hit.
"""

import logging
import os
import signal
from collections.abc import Sequence

import trio

from blue_green.site.state import RecordedBackend
from blue_green.system import procfs, threads
from blue_green.system.process import Process

logger = logging.getLogger(__name__)

KILL_TIMEOUT = 5.0
"""Seconds that a process may take to end after SIGKILL."""


async def end_orphans(
    env_marker: str,
    remembered: list[RecordedBackend],
    *,
    how: signal.Signals,
    timeout: float,
    ours: Sequence[Process] = (),
) -> None:
    """End all orphans, gracefully at first; return when neither they nor their sockets are left.

    `ours` were handed over to us, and stay with their descendants.
    """
    for limit, signal_ in ((timeout, how), (KILL_TIMEOUT, signal.SIGKILL)):
        found = await threads.run(_find, env_marker, remembered, ours)
        if not found:
            return
        logger.warning(
            "sending %s to pids %s, which an earlier supervisor left behind",
            signal_.name, list(found),
        )  # fmt: skip
        with trio.move_on_after(limit):
            async with trio.open_nursery() as nursery:
                for pid, began in found.items():
                    nursery.start_soon(_end, pid, began, signal_)
    if found := await threads.run(_find, env_marker, remembered, ours):
        logger.error("cannot end pids %s, which an earlier supervisor left behind", list(found))


async def _end(pid: int, began: int, how: signal.Signals) -> None:
    """Signal a process, and wait until it is gone.

    Its pidfd becomes readable after the last of its files is closed.
    """
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


def _find(
    env_marker: str, remembered: list[RecordedBackend], ours: Sequence[Process]
) -> dict[int, int]:
    """The orphans that still run: pid -> start time."""
    found = {}
    for pid in procfs.pids_of_supervisor(env_marker):
        if (began := procfs.start_time(pid)) is not None:
            found[pid] = began
    for running in remembered:
        if procfs.is_alive(running.pid) and procfs.start_time(running.pid) == running.began:
            found[running.pid] = running.began
    for process in ours:
        for pid in (process.pid, *procfs.descendants(process.env_marker, process.pid)):
            found.pop(pid, None)
    return found
