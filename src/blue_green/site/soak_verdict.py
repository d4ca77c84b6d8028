"""The verdict in the soak of a swap: when it applies, and what the new release is compared with."""

import trio

from blue_green.routing.client_limits import ClientLimits
from blue_green.routing.results import Counts
from blue_green.site import result_text, unanswered
from blue_green.site.slot import Slot
from blue_green.site.soak_results import SoakResults
from blue_green.site.swap import Swap
from blue_green.site.trigger import Trigger
from blue_green.site.unanswered import BothCounts
from blue_green.site.verdict import ERROR, HOW_TO_TURN_IT_OFF, excess, not_counted
from blue_green.source.failure import StepFailed

LOOK_INTERVAL = 0.1
"""Seconds between two looks at the numbers."""
NO_VERDICT = (Trigger.HEALTH, Trigger.ROLLBACK)
"""Swaps away from a release that is known to be bad, whatever its requests say."""


class SoakVerdict:
    """Compares the new release with what the old one had before the switch."""

    def __init__(self, swap: Swap, results: SoakResults, old: Slot, limits: ClientLimits) -> None:
        """`limits` are those of the new release."""
        settings = swap.settings.swap
        self._margin = settings.verdict_margin / 100
        self._least = settings.verdict_requests
        self._results = results
        self._limits = limits
        self._old = old
        self._just_before = _just_before(old, self._margin)
        is_wanted = settings.verdict and settings.soak > 0
        self._is_on = is_wanted and swap.trigger not in NO_VERDICT

    async def until_clearly_worse(self) -> StepFailed:
        """Wait until the new release is clearly worse; how, in words."""
        while (failure := self.failure()) is None:
            await trio.sleep(LOOK_INTERVAL)
        return failure

    @property
    def is_settled(self) -> bool:
        """Whether no responses are due that would decide if they never came."""
        return self.failure(is_last=True, foresees=True) is None

    async def until_settled(self) -> None:
        """Wait for such responses, for as long as requests may wait."""
        await unanswered.until_settled(self._results.old(), lambda: self.is_settled)

    def failure(self, *, is_last: bool = False, foresees: bool = False) -> StepFailed | None:
        """How the new release is clearly worse, if it is.

        `foresees`: as if requests that wait for a response were never answered.
        """
        if not (self._is_on and self._old.open_targets):
            return None  # There is nothing to go back to.
        both = unanswered.compare(self._results, self._limits, foresees=foresees)
        if both.new.share <= self._just_before.share + self._margin:
            return None
        if unanswered.shows_more_failures(
            both, requests=self._least, margin=self._margin, is_last=is_last
        ):
            return StepFailed(_reason(both, self._limits.failures_over))
        return None


def _just_before(old: Slot, margin: float) -> Counts:
    """The last requests of an old release that has begun to fail; none if it has not.

    Going back to such a release would not help. A few failures among the last requests do not show
    that: the share of those must be clearly larger than before.
    """
    last, recent = old.recent.last().counts, old.recent.recent().counts
    return last if excess(last, recent - last, ERROR) > margin else Counts()


def _reason(both: BothCounts, over: int) -> str:
    new, old = both.new, both.old
    now, before = (result_text.percent(counts.share) for counts in (new, old))
    return (
        f"{new.failed} of {new.requests} requests failed after the switch ({now})"
        f"{result_text.unanswered(both.unanswered)}, and "
        f"{old.failed} of {old.requests} before ({before})\n{not_counted(over)}"
        f"{HOW_TO_TURN_IT_OFF}"
    )
