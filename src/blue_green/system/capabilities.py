"""The capability to listen on ports below 1024, which a service manager may give us.

systemd makes it ambient (`AmbientCapabilities=`), so that every program that we start would have it
as well: git, builds, and the app. None of these needs it. Other capabilities, which somebody has
given to the service for the app, are passed on to it. See capabilities(7).
"""

import ctypes

CAP_NET_BIND_SERVICE = 10
PR_CAP_AMBIENT, RAISE, LOWER = 47, 2, 3
"""prctl(2)."""


def keep_to_ourselves() -> None:
    """Give the capability to no program that we start.

    This is about the current thread, and those that it starts later.
    """
    _prctl(LOWER)


def pass_on() -> None:
    """Give the capability to the program that takes our place in this process (execve(2))."""
    _prctl(RAISE)


def _prctl(operation: int) -> None:
    """Fails where we do not have the capability, which does not matter."""
    numbers = map(ctypes.c_ulong, (operation, CAP_NET_BIND_SERVICE, 0, 0))
    ctypes.CDLL(None).prctl(PR_CAP_AMBIENT, *numbers)
