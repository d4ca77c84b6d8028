"""Requests per second: over the last few seconds, and in each second of the last minutes.

Once a second one task reads how many requests have ended since the start, and how many were held.
Requests themselves do no extra work: the proxy and the gate count them anyway.
"""

import time
from collections import deque
from collections.abc import Sequence
from itertools import islice

import trio
from attrs import frozen

from blue_green.routing.gate import Gate

WINDOW = 10
"""Seconds over which the rate is averaged."""
KEPT = 300
"""Seconds that are kept one by one."""


@frozen
class Second:
    """The requests of one second."""

    at: float
    """When it ended, in seconds since the epoch."""
    ended: Sequence[int]
    """How many ended, by the first digit of their status: 1 to 5."""
    held: int
    """How many were held at any moment of it."""


class Rate:
    """How many requests end per second."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._noted = deque([(trio.current_time(), self._count())], maxlen=WINDOW + 1)
        self._seconds: deque[Second] = deque(maxlen=KEPT)
        self._end = 0
        self._before = self._by_class()
        self._recent_errors = 0
        self._had_waited = gate.tally.held - gate.held

    async def run(self) -> None:
        """Note the counts each second, until cancelled."""
        while True:
            await trio.sleep(1)
            self._noted.append((trio.current_time(), self._count()))
            self._note_second()

    @property
    def per_second(self) -> float:
        """Over the last ten seconds, or since the start."""
        then, before = self._noted[0]
        elapsed = trio.current_time() - then
        # The first moment alone says nothing about a whole second.
        return (self._count() - before) / max(elapsed, 1.0)

    @property
    def recent_errors(self) -> int:
        """How many requests ended with a 5xx in the seconds that are kept."""
        return self._recent_errors

    @property
    def end(self) -> int:
        """The number of the second that comes next."""
        return self._end

    def since(self, number: int) -> Sequence[Second]:
        """The seconds from this number on, as far as they are kept."""
        first = self._end - len(self._seconds)
        return list(islice(self._seconds, max(0, number - first), None))

    def _note_second(self) -> None:
        now = self._by_class()
        ended = [after - before for after, before in zip(now, self._before, strict=True)]
        # All that were ever held, less those released before this second began: the number held
        # now would miss those that came and went within the second.
        held = self._gate.tally.held - self._had_waited
        if len(self._seconds) == KEPT:
            self._recent_errors -= self._seconds[0].ended[4]
        self._recent_errors += ended[4]
        self._seconds.append(Second(time.time(), ended, held))
        self._end += 1
        self._before = now
        self._had_waited = self._gate.tally.held - self._gate.held

    def _by_class(self) -> list[int]:
        counts = [0] * 5
        for status, count in self._gate.by_status.items():
            # RFC 9110 section 15: one that is out of range counts as a server error.
            counts[status // 100 - 1 if 100 <= status < 600 else 4] += count
        return counts

    def _count(self) -> int:
        return sum(self._gate.by_status.values())
