"""Expected failures of a swap, by what is at fault.

- `StepFailed`: the revision. It goes into quarantine until somebody requests a retry.
- `MachineFault`: the machine, or a mistake of ours. The swap is retried automatically.
- `SwapCancelled`: nothing. There is no automatic retry.
"""

import errno
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

OF_THE_MACHINE = frozenset(
    {
        errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO,
        errno.ENOMEM, errno.ENOBUFS, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.E2BIG,
    }
)  # fmt: skip
"""Errors that are not the revision's fault (errno(3)): storage, memory, descriptors, processes,
and an environment that is too large."""
DISK_FULL = ("No space left on device", "ENOSPC", "Disk quota exceeded", "EDQUOT", "disk is full")
"""What programs write when a disk is full: the C library, Node, and SQLite."""
LEAST_ROOM = 1024 * 1024
"""Bytes below which a disk counts as full."""


class StepFailed(Exception):
    """A step of a swap failed; str() says why.

    `output` has the last lines of the program that failed.
    """

    def __init__(self, reason: str, output: Sequence[str] = ()) -> None:
        super().__init__(reason)
        self.output = tuple(output)


class MachineFault(StepFailed):
    """A step failed for a reason that is independent of the revision."""


class PortTaken(MachineFault):
    """Another program has the port; str() names it, if it can be seen."""


class SwapCancelled(Exception):
    """The swap was cancelled through no fault of the revision; str() says why."""


class DeployRefused(SwapCancelled):
    """The swap was refused before anything was done; it gets no receipt in the history."""


def from_errno(reason: str, number: int | None) -> StepFailed:
    """The failure for an error number of the system, if there is one."""
    return (MachineFault if number in OF_THE_MACHINE else StepFailed)(reason)


def classify(failure: StepFailed, directories: Iterable[Path]) -> StepFailed:
    """Turn a failure into a `MachineFault` if a disk is full, by its output or by `directories`.

    A program that cannot write ends with an exit status like any other. Its files may be deleted by
    now, so a disk that has room again proves nothing.
    """
    if isinstance(failure, MachineFault):
        return failure
    lines = [str(failure), *failure.output]
    if any(message in line for line in lines for message in DISK_FULL):
        return MachineFault(f"a disk is full: {failure}", failure.output)
    for directory in directories:
        if _is_full(directory):
            return MachineFault(f"the disk of {directory} is full: {failure}", failure.output)
    return failure


def _is_full(directory: Path) -> bool:
    try:
        disk = os.statvfs(directory)
    except OSError:
        return False
    has_inodes = disk.f_favail > 0 or disk.f_files == 0  # Some file systems do not count them.
    return disk.f_bavail * disk.f_frsize < LEAST_ROOM or not has_inodes
