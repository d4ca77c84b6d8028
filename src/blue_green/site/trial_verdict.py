"""The verdict of a canary: both releases serve at the same time, and their traffic is compared.

Failures are compared as in the soak (see `verdict`). For response times, a request counts as slow
if it took clearly longer than the 95th percentile of the live release: half as long again, and a
tenth of a second more. Of the live release, hardly more than one in twenty can be slow. So if the
share of slow requests of the candidate is certainly larger by that much, its own 95th percentile is
beyond the limit, too. This assumes nothing about how response times are distributed.
"""

from blue_green.routing.client_limits import ClientLimits
from blue_green.routing.metrics import Histogram
from blue_green.routing.results import Counts, Results
from blue_green.site import result_text, unanswered
from blue_green.site.swap import Swap
from blue_green.site.trial_results import TrialResults
from blue_green.site.unanswered import BothCounts
from blue_green.site.verdict import HOW_TO_TURN_IT_OFF, is_clearly_worse, not_counted

LOOK_INTERVAL = 0.5
"""Seconds between two looks at the numbers."""
FACTOR, SECONDS = 1.5, 0.1
"""How much longer than the 95th percentile of the live release a slow request takes."""
SLOW_SHARE = 0.05
ENOUGH_TIMES = 100
"""Response times of each release that a comparison needs: the first ones may be slow."""


class TrialVerdict:
    """Looks at the growing numbers of both releases."""

    def __init__(self, swap: Swap, results: TrialResults, limits: ClientLimits) -> None:
        """`limits` are those of the candidate."""
        settings = swap.settings.swap
        self._is_on = settings.verdict
        self._least = settings.verdict_requests
        self._results = results
        self._limits = limits
        self._margin = settings.verdict_margin / 100

    async def until_settled(self) -> None:
        """Wait for responses that would decide if they never came, as long as requests may wait."""
        await unanswered.until_settled(
            self._results.old(), lambda: not self.failure(is_last=True, foresees=True)
        )

    def failure(self, *, is_last: bool = False, foresees: bool = False) -> str:
        """How the candidate is clearly worse; empty if it is not.

        `foresees`: as if requests that wait for a response were never answered.
        """
        if not self._is_on:
            return ""
        return self._more_failures(is_last=is_last, foresees=foresees) or self._slower(
            self._results.new(), self._results.old()
        )

    def _more_failures(self, *, is_last: bool, foresees: bool) -> str:
        both = unanswered.compare(self._results, self._limits, foresees=foresees)
        if unanswered.shows_more_failures(
            both, requests=self._least, margin=self._margin, is_last=is_last
        ):
            return _more_failures(both, self._limits.failures_over)
        return ""

    def _slower(self, new: Results, old: Results) -> str:
        limits = self._limits
        limits.slow_seconds = slow = limit(old.times)
        fewest = min(sum(new.times.counts), sum(old.times.counts))
        if not limits.slow.has_several or fewest < ENOUGH_TIMES:
            return ""
        times = limits.counted_times(new.times)
        counts = slower_than(slow, times), slower_than(slow, old.times)
        if is_clearly_worse(*counts, requests=self._least, margin=SLOW_SHARE):
            return _slower(times, old.times)
        return ""

    def missing(self) -> str:
        """Why there was no verdict, if there was none."""
        if not self._is_on:
            return ""
        both = unanswered.compare(self._results, self._limits)
        new, old = both.new.requests, both.old.requests
        if min(new, old) >= self._least:
            return ""
        return f"too few requests in its canary for a verdict: {new}, and {old} of the live release"


def limit(live: Histogram) -> float:
    """The response time, in seconds, beyond which a request is slow."""
    p95 = live.quantile(0.95) or 0.0
    return max(p95 * FACTOR, p95 + SECONDS)


def slower_than(seconds: float, times: Histogram) -> Counts:
    """All requests, and those that certainly took longer."""
    return Counts(sum(times.counts), times.over(seconds))


def _more_failures(both: BothCounts, over: int) -> str:
    new, old = both.new, both.old
    now, before = (result_text.percent(counts.share) for counts in (new, old))
    return (
        f"{new.failed} of {new.requests} requests of the canary failed ({now})"
        f"{result_text.unanswered(both.unanswered)}, and "
        f"{old.failed} of {old.requests} of the live release ({before})\n"
        f"{not_counted(over)}{HOW_TO_TURN_IT_OFF}"
    )


def _slower(new: Histogram, old: Histogram) -> str:
    now, before = (result_text.duration(times.quantile(0.95) or 0.0) for times in (new, old))
    return (
        f"the canary is slower: its 95th percentile is {now}, and {before} for the live release\n"
        f"{HOW_TO_TURN_IT_OFF}"
    )
