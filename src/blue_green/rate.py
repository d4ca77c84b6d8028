"""Requests a second, over the last few seconds.

Once a second one task notes how many requests have ended since the start. Nothing is done for
each request: the proxy counts them anyway.
"""

from collections import deque
from collections.abc import Mapping

import trio

WINDOW = 10
"""Seconds over which the rate is taken."""


class Rate:
    """How many requests end in a second."""

    def __init__(self, by_status: Mapping[int, int]) -> None:
        """`by_status` has how many requests have ended with each status; it is read, and grows."""
        self._by_status = by_status
        self._noted = deque([(trio.current_time(), self._count())], maxlen=WINDOW + 1)

    async def run(self) -> None:
        """Note the count each second, until cancelled."""
        while True:
            await trio.sleep(1)
            self._noted.append((trio.current_time(), self._count()))

    @property
    def per_second(self) -> float:
        """Over the last ten seconds, or as long as we have been there."""
        then, before = self._noted[0]
        elapsed = trio.current_time() - then
        # Of what came within the first moment, nobody knows whether it goes on.
        return (self._count() - before) / max(elapsed, 1.0)

    def _count(self) -> int:
        return sum(self._by_status.values())
