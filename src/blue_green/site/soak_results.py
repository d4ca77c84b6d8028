"""The results of the new release since the switch, beside those of the old one before it."""

from collections.abc import Iterable

from blue_green.routing.lease import Target
from blue_green.routing.results import Results
from blue_green.site.receipt import Receipt
from blue_green.site.slot import Slot


class SoakResults:
    """Begins at the switch."""

    def __init__(self, candidate: Slot, old: Slot) -> None:
        self._candidate = candidate
        self._before = candidate.results.copy()  # It has some if it was taken back while warm.
        self._old = old

    def new(self) -> Results:
        return self._candidate.results.since(self._before)

    def old(self) -> Results:
        """Including those of the requests that it finishes after the switch."""
        return self._old.recent.recent()

    def new_targets(self) -> Iterable[Target]:
        return self._candidate.targets

    def old_targets(self) -> Iterable[Target]:
        return self._old.targets

    def note_in(self, receipt: Receipt) -> None:
        """Put both into the receipt, unless there is no app."""
        receipt.results = None if self._candidate.is_static else self.new().summary()
        receipt.previous_results = None if self._old.is_static else self.old().summary()
