"""What is counted, as plain numbers that cost a request next to nothing.

Nothing here knows how the numbers are told: `admin.exposition` reads them when somebody asks.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from attrs import define, field

HOLD_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Bounds for how long requests wait at the gate: [hold] timeout is 30 s by default."""


@define
class Histogram:
    """How many values there were in each range, and what they add up to."""

    bounds: Sequence[float]
    """The largest value of each range, rising; one more range has all that is larger."""
    counts: list[int] = field(init=False)
    total: float = field(init=False, default=0.0)

    @counts.default
    def _(self) -> list[int]:
        return [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


@define
class SwapCounts:
    """The swaps since the start, by how they ended, and their phases.

    There are few of them: how many phases there were and how long they took is told as a sum, and
    not in ranges, which would be most of what is told at all.
    """

    by_outcome: Counter[str] = field(factory=Counter)
    by_phase: Counter[str] = field(factory=Counter)
    seconds: defaultdict[str, float] = field(factory=lambda: defaultdict(float))
    """How long each phase took, in all swaps together."""

    def add(self, outcome: str, seconds: Mapping[str, float]) -> None:
        """Count one that has ended; `seconds` are those of each phase."""
        self.by_outcome[outcome] += 1
        for phase, duration in seconds.items():
            self.by_phase[phase] += 1
            self.seconds[phase] += duration
