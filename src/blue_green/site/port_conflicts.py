"""Ports of the live release that another program has.

Any user of a machine can take a port when a backend dies. That is a fault of the machine and no
death of the app: requests wait, the port is tried again at short intervals, and if it stays taken
the release is brought up in the other slot, on its ports.
"""

import logging
from collections.abc import Callable

import trio

logger = logging.getLogger(__name__)

TRY_AGAIN = 0.5
"""Seconds until a taken port is tried again."""
PATIENCE = 1.0
"""Seconds for which a port may be taken before the other slot is tried."""
FIRST_PAUSE = 5.0
LONGEST_PAUSE = 60.0
"""Seconds between two attempts at the other slot: they grow, as its ports may be taken, too."""


class PortConflicts:
    """Which ones, and since when; it outlives the slots' attempts to start what is live."""

    def __init__(self, replace: Callable[[str], None]) -> None:
        """`replace` has the live release brought up in the other slot, and is given the reason."""
        self._replace = replace
        self._since: dict[int, float] = {}
        self._pause = FIRST_PAUSE
        self._replace_at = 0.0

    def note(self, port: int, why: str) -> bool:
        """It is taken, now or still; whether that is new."""
        now = trio.current_time()
        is_new = port not in self._since
        since = self._since.setdefault(port, now)
        if is_new:
            logger.error("the live backend on port %d is down: %s", port, why)
            logger.info("port %d is tried again every %g s", port, TRY_AGAIN)
        if now >= max(since + PATIENCE, self._replace_at):
            self._replace_at = now + self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
            self._replace(why)
        return is_new

    def forget(self, port: int) -> None:
        """The app has it, and works."""
        self._since.pop(port, None)
        self._pause, self._replace_at = FIRST_PAUSE, 0.0
