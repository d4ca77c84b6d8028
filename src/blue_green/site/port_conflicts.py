"""Ports of the live release that another program has.

Any user of the machine can take a port when a backend dies. That is a fault of the machine, not a
death of the app: requests wait and the port is retried at short intervals. If it stays taken, the
release is started in the other slot, on that slot's ports.
"""

import logging
from collections.abc import Callable

import trio

from blue_green.config.kinds import Endpoint

logger = logging.getLogger(__name__)

RETRY_INTERVAL = 0.5
"""Seconds until a taken port is retried."""
PATIENCE = 1.0
"""Seconds for which a port may be taken before the other slot is tried."""
FIRST_PAUSE = 5.0
LONGEST_PAUSE = 60.0
"""Seconds between two attempts in the other slot. They grow, as its ports may be taken, too."""


class PortConflicts:
    """The taken ports, and since when: it outlives the attempts to start the live release."""

    def __init__(self, replace: Callable[[str], None]) -> None:
        """`replace(reason)` starts the live release in the other slot."""
        self._replace = replace
        self._since: dict[Endpoint, float] = {}
        self._pause = FIRST_PAUSE
        self._replace_at = 0.0

    def add(self, address: Endpoint, reason: str) -> bool:
        """Record that the port is taken; whether that is new."""
        now = trio.current_time()
        is_new = address not in self._since
        since = self._since.setdefault(address, now)
        if is_new:
            logger.error("the live backend on %s is down: %s", address.short, reason)
            logger.info("retrying %s every %g s", address.short, RETRY_INTERVAL)
        if now >= max(since + PATIENCE, self._replace_at):
            self._replace_at = now + self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
            self._replace(reason)
        return is_new

    def forget(self, address: Endpoint) -> None:
        """The app has the port again, and works."""
        self._since.pop(address, None)
        self._pause, self._replace_at = FIRST_PAUSE, 0.0
