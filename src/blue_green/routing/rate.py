"""Requests per second: over the last few seconds, and in each second of the last minutes.

Once a second one task reads how many requests have ended since the start, and how many were held.
Requests themselves do no extra work: the proxy and the gate count them anyway. While nobody uses a
site that is asleep, the task reads them only now and then, so that many such sites cost nothing.
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
RELAXED_INTERVAL = 60.0
"""Seconds between two looks at a site that is asleep and has had no requests lately."""


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
        self._is_relaxed = False
        self._changed = trio.Event()

    async def run(self) -> None:
        """Note the counts each second, until cancelled."""
        while True:
            self._changed = trio.Event()
            with trio.move_on_at(self._next_look):
                await self._changed.wait()
            if trio.current_time() >= self._next_look:
                self._note()

    def relax(self, *, is_asleep: bool) -> None:
        """Look less often from now on if the site is asleep, or else each second again."""
        self._catch_up()
        self._is_relaxed = is_asleep
        self._changed.set()

    @property
    def per_second(self) -> float:
        """Over the last ten seconds, or since the start."""
        self._catch_up()
        then, before = self._noted[0]
        elapsed = trio.current_time() - then
        # The first moment alone says nothing about a whole second.
        return (self._count() - before) / max(elapsed, 1.0)

    @property
    def recent_errors(self) -> int:
        """How many requests ended with a 5xx in the seconds that are kept."""
        self._catch_up()
        return self._recent_errors

    @property
    def end(self) -> int:
        """The number of the second that comes next."""
        return self._end

    def since(self, number: int) -> Sequence[Second]:
        """The seconds from this number on, as far as they are kept."""
        self._catch_up()
        first = self._end - len(self._seconds)
        return list(islice(self._seconds, max(0, number - first), None))

    @property
    def _next_look(self) -> float:
        is_quiet = len(self._noted) > WINDOW and self._noted[0][1] == self._noted[-1][1]
        pause = RELAXED_INTERVAL if self._is_relaxed and is_quiet else 1.0
        return self._noted[-1][0] + pause

    def _catch_up(self) -> None:
        """Note the seconds that have passed since a look long ago, for somebody who looks now."""
        if self._is_relaxed and trio.current_time() - self._noted[-1][0] >= 1:
            self._note()
            self._changed.set()

    def _note(self) -> None:
        """Note the seconds since the last look; what has ended in several is spread over them."""
        now, at = trio.current_time(), time.time()
        then, count = self._noted[-1]
        after, elapsed = self._by_class(), now - then
        ended = [new - old for new, old in zip(after, self._before, strict=True)]
        # All that were ever held, less those released before this second began: the number held
        # now would miss those that came and went within the second.
        held = self._gate.tally.held - self._had_waited
        number = min(max(1, round(elapsed)), KEPT) if self._is_relaxed else 1
        for past in range(1, number + 1):
            shares = [n * past // number - n * (past - 1) // number for n in ended]
            count += sum(shares)
            ago = elapsed * (number - past) / number
            self._noted.append((now - ago, count))
            self._add(Second(at - ago, shares, held if past == number else 0))
        self._before = after
        self._had_waited = self._gate.tally.held - self._gate.held

    def _add(self, second: Second) -> None:
        if len(self._seconds) == KEPT:
            self._recent_errors -= self._seconds[0].ended[4]
        self._recent_errors += second.ended[4]
        self._seconds.append(second)
        self._end += 1

    def _by_class(self) -> list[int]:
        counts = [0] * 5
        for status, count in self._gate.by_status.items():
            # RFC 9110 section 15: one that is out of range counts as a server error.
            counts[status // 100 - 1 if 100 <= status < 600 else 4] += count
        return counts

    def _count(self) -> int:
        return sum(self._gate.by_status.values())
