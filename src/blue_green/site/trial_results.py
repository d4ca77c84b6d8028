"""The results of both releases since a trial began: those of the same time are comparable."""

from collections.abc import Iterable

from blue_green.routing.lease import Target
from blue_green.routing.results import Results
from blue_green.site.receipt import Receipt
from blue_green.site.slot import Slot


class TrialResults:
    """Begins with the trial."""

    def __init__(self, candidate: Slot, live: Slot) -> None:
        self._candidate, self._live = candidate, live
        self._live_before = live.results.copy()

    def new(self) -> Results:
        return self._candidate.results

    def old(self) -> Results:
        return self._live.results.since(self._live_before)

    def new_targets(self) -> Iterable[Target]:
        return self._candidate.targets

    def old_targets(self) -> Iterable[Target]:
        return self._live.targets

    def note_in(self, receipt: Receipt) -> None:
        receipt.trial_results, receipt.trial_live_results = (
            results.summary() for results in (self.new(), self.old())
        )
