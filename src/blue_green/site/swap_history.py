"""What became of the swaps of a site."""

from collections.abc import Sequence

from blue_green.routing.metrics import SwapCounts
from blue_green.site.notify import Notify
from blue_green.site.receipt import Receipt
from blue_green.site.state import State


class SwapHistory:
    """The receipts of the last swaps, which the state remembers, and counters since the start."""

    def __init__(self, state: State, notify: Notify) -> None:
        self.counts = SwapCounts()
        self._state = state
        self._notify = notify

    @property
    def receipts(self) -> Sequence[Receipt]:
        """Receipts of the last swaps, newest first, without the current one."""
        return self._state.history[::-1]

    @property
    def last(self) -> Receipt | None:
        return self._state.history[-1] if self._state.history else None

    def remember(self, receipt: Receipt) -> None:
        """Add a receipt, and notify the owner unless it is a retry that failed in the same way."""
        if not self._state.is_repeated(receipt):
            # Before anything waits: a stop of the service would prevent it.
            self._notify.report_swap(receipt)
        self._state.remember(receipt)
