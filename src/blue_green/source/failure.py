"""What is expected to go wrong in a swap, and whose fault it is.

- `StepFailed`: the revision's. It is put in quarantine, until somebody asks for it again.
- `MachineFault`: the machine's, or ours. The revision is tried again by itself.
- `SwapCancelled`: nobody's. Nothing follows by itself. One that was refused at once is not
  remembered.
"""

import errno
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

OF_THE_MACHINE = frozenset(
    {
        errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO,
        errno.ENOMEM, errno.ENOBUFS, errno.EMFILE, errno.ENFILE, errno.EAGAIN,
    }
)  # fmt: skip
"""Errors that no revision is to blame for (errno(3)): storage, memory, descriptors, processes."""
NO_ROOM = ("No space left on device", "ENOSPC", "Disk quota exceeded", "EDQUOT", "disk is full")
"""What programs write when there is no room: the C library, Node, and SQLite."""
LEAST_ROOM = 1024 * 1024
"""Bytes below which a disk counts as full."""


class StepFailed(Exception):
    """A step on the way to a new release failed; str() says why.

    `output` has the last lines that the program in question wrote.
    """

    def __init__(self, reason: str, output: Sequence[str] = ()) -> None:
        super().__init__(reason)
        self.output = tuple(output)


class MachineFault(StepFailed):
    """A step failed for a reason that has nothing to do with the revision."""


class PortTaken(MachineFault):
    """Another program has the port; str() says which one, where that can be known."""


class SwapCancelled(Exception):
    """The swap is not to go on, through no fault of the revision; str() says why."""


class DeployRefused(SwapCancelled):
    """Nothing was done, so only whoever asked for it is told: asking again says nothing new."""


def from_errno(reason: str, number: int | None) -> StepFailed:
    """The failure of a step that the system refused with this error, if it gave one."""
    return (MachineFault if number in OF_THE_MACHINE else StepFailed)(reason)


def classify(failure: StepFailed, places: Iterable[Path]) -> StepFailed:
    """The same failure, or the machine's if there is no room left: in what it said, or in `places`.

    A program that cannot write ends with an exit status like any other. What it had written may be
    gone by now, so a disk that has room again proves nothing.
    """
    if isinstance(failure, MachineFault):
        return failure
    said = [str(failure), *failure.output]
    if any(sign in line for line in said for sign in NO_ROOM):
        return MachineFault(f"no room on a disk: {failure}", failure.output)
    for place in places:
        if _is_full(place):
            return MachineFault(f"no room left in {place}: {failure}", failure.output)
    return failure


def _is_full(place: Path) -> bool:
    try:
        disk = os.statvfs(place)
    except OSError:
        return False
    has_inodes = disk.f_favail > 0 or disk.f_files == 0  # Some file systems do not count them.
    return disk.f_bavail * disk.f_frsize < LEAST_ROOM or not has_inodes
