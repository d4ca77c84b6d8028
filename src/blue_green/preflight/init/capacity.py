"""How many workers a server of an app gets, by the CPUs and the memory of this machine."""

import os
from contextlib import suppress
from pathlib import Path

from attrs import frozen

GROUP = Path("/sys/fs/cgroup")
MIB = 1024 * 1024
OF_ONE_WORKER = 128 * MIB
"""Bytes that a worker of an ordinary app needs."""
THREADS = 4


@frozen
class Capacity:
    """The size of a machine."""

    cpus: int
    memory: int
    """Bytes."""

    @property
    def workers(self) -> int:
        """One more than CPUs, as far as half of the memory is enough for two releases."""
        return max(1, min(self.cpus + 1, self.memory // 2 // 2 // OF_ONE_WORKER))

    @property
    def reasons(self) -> str:
        """Why there are so many, for the settings file."""
        cpus = f"{self.cpus} CPU{'' if self.cpus == 1 else 's'}"
        workers = f"{self.workers} worker{'' if self.workers == 1 else 's'}"
        return (
            f"{workers} with {THREADS} threads each: {self.workers * THREADS} requests at once. "
            f"init found {cpus} and {_text(self.memory)} of memory. It takes one worker more than "
            "CPUs, as far as half of the memory suffices for two releases, at 128 MiB a worker. "
            "Threads wait for a database side by side; if the app is not thread-safe, use "
            "--threads 1, and more workers"
        )


def of_this_machine() -> Capacity:
    """Of what this process may use."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError, ValueError):  # No control group, or one without a limit.
        memory = min(memory, int((GROUP / "memory.max").read_text()))
    return Capacity(len(os.sched_getaffinity(0)), memory)


def _text(size: int) -> str:
    return f"{size / MIB / 1024:.0f} GiB" if size >= 1024 * MIB else f"{size // MIB} MiB"
