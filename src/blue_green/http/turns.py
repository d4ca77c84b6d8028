"""Turns for short computations in the event loop, so that many of them do not stop it.

In each iteration the event loop runs all tasks that are ready, which may be thousands. So an
iteration must have a bound, but on a calm server no computation should wait for the next one.
"""

import time

import trio

IN_ITERATION = 1
"""Turns that are given in one iteration of the event loop to tasks that wait."""
AT_ONCE = 2
"""Turns that are taken without waiting in each `SLICE`, while no task waits."""
SLICE = 0.002
"""Seconds."""


class Turns:
    """Turns, first in, first out."""

    def __init__(self) -> None:
        self._queue = trio.Semaphore(IN_ITERATION)
        self._since = 0.0
        """When the current slice began (`time.perf_counter`)."""
        self._left = 0
        """Turns that are left in it."""
        self.waiting = 0
        """How many tasks wait for a turn."""

    async def wait(self) -> None:
        """Wait for a turn. It lasts until the next checkpoint, and should take no millisecond.

        This is no checkpoint itself if there is a turn at once: the caller must have one.
        """
        if self.waiting == 0 and self._take_at_once():
            return
        self.waiting += 1
        try:
            async with self._queue:  # A checkpoint: it lasts to the next iteration in any case.
                pass
        finally:
            self.waiting -= 1

    def _take_at_once(self) -> bool:
        now = time.perf_counter()
        if now - self._since > SLICE:
            self._since, self._left = now, AT_ONCE
        self._left -= 1
        return self._left >= 0
