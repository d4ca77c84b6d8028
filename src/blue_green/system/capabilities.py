"""The capabilities that a service manager gives us, such as that for ports below 1024.

systemd makes them ambient (`AmbientCapabilities=`), so that every program that we start would have
them as well: git, builds, and the app. None of these needs them. See capabilities(7).
"""

import ctypes
from collections.abc import Iterator
from pathlib import Path

PR_CAP_AMBIENT, RAISE, CLEAR_ALL = 47, 2, 4
"""prctl(2)."""
STATUS = Path("/proc/self/status")


def keep_to_ourselves() -> None:
    """Give our capabilities to no program that we start.

    This is about the current thread, and those that it starts later.
    """
    _prctl(CLEAR_ALL, 0)


def pass_on() -> None:
    """Give our capabilities to the program that takes our place in this process (execve(2))."""
    for number in _inheritable():
        _prctl(RAISE, number)


def _inheritable() -> Iterator[int]:
    """The numbers of those that we have, and that the service manager has let us pass on."""
    lines = dict(line.split(":\t", 1) for line in STATUS.read_text().splitlines() if ":\t" in line)
    both = int(lines["CapPrm"], 16) & int(lines["CapInh"], 16)
    yield from (number for number in range(both.bit_length()) if both >> number & 1)


def _prctl(operation: int, capability: int) -> None:
    """Failures do not matter: on such a system there are no ambient capabilities."""
    numbers = map(ctypes.c_ulong, (operation, capability, 0, 0))
    ctypes.CDLL(None).prctl(PR_CAP_AMBIENT, *numbers)
