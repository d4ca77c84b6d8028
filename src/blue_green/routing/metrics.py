"""Counters and histograms, as plain numbers, so that counting costs a request next to nothing.

`admin.exposition` reads them at each scrape, and knows the format.
"""

import math
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import accumulate

from attrs import define, field

HOLD_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Buckets for the time that requests wait at the gate: [hold] timeout is 30 s by default."""


@define
class Histogram:
    """The number of values in each bucket, and their sum."""

    bounds: Sequence[float]
    """The upper bound of each bucket, ascending. One more bucket has all larger values."""
    counts: list[int] = field(init=False)
    total: float = field(init=False, default=0.0)

    @counts.default
    def _(self) -> list[int]:
        return [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def quantile(self, share: float) -> float | None:
        """The value below which this share of all values lies, roughly; None without values.

        It is the geometric middle of a bucket: right up to the square root of the ratio of its
        bounds. In the first and in the last bucket it is the only bound of that.
        """
        rank = share * sum(self.counts)
        if not rank:
            return None
        bucket = bisect_left(list(accumulate(self.counts)), rank)
        if bucket == 0:
            return self.bounds[0]
        if bucket == len(self.bounds):
            return self.bounds[-1]
        return math.sqrt(self.bounds[bucket - 1] * self.bounds[bucket])

    def over(self, value: float) -> int:
        """How many values are certainly larger than this one."""
        return sum(self.counts[bisect_left(self.bounds, value) + 1 :])

    def since(self, earlier: "Histogram") -> "Histogram":
        """What was added after `earlier`, which is an older copy."""
        result = Histogram(self.bounds)
        pairs = zip(self.counts, earlier.counts, strict=True)
        result.counts[:] = [now - before for now, before in pairs]
        result.total = self.total - earlier.total
        return result

    def coarser(self, bounds: Sequence[float]) -> "Histogram":
        """The same values in fewer buckets; each of these bounds must be one of its own."""
        result, first = Histogram(bounds), 0
        for number, bound in enumerate(bounds):
            end = self.bounds.index(bound) + 1
            result.counts[number], first = sum(self.counts[first:end]), end
        result.counts[-1], result.total = sum(self.counts[first:]), self.total
        return result


@define
class SwapCounts:
    """The swaps since the start, by outcome, and their phases.

    Phases have a count and a sum, but no buckets: for so few values, the buckets would be most of
    the exposition.
    """

    by_outcome: Counter[str] = field(factory=Counter)
    by_phase: Counter[str] = field(factory=Counter)
    seconds: defaultdict[str, float] = field(factory=lambda: defaultdict(float))
    """The total duration of each phase, over all swaps."""

    def add(self, outcome: str, seconds: Mapping[str, float]) -> None:
        """Count a swap that has ended, with the duration of each phase."""
        self.by_outcome[outcome] += 1
        for phase, duration in seconds.items():
            self.by_phase[phase] += 1
            self.seconds[phase] += duration
