"""Whether a revision is one that somebody has gone back from: it is deployed again only by name."""

from collections.abc import Iterable

from blue_green.site.overlap import GOES_BACK
from blue_green.site.receipt import Receipt
from blue_green.site.trigger import Trigger


def was_rolled_back(revision: str, receipts: Iterable[Receipt]) -> bool:
    """Whether the last that was done about it, going by the newest receipts first, was to flee."""
    for receipt in receipts:
        if receipt.outcome == "promoted" and revision == receipt.revision:
            return False
        is_rollback = receipt.outcome == "promoted" and receipt.asked_by == Trigger.ROLLBACK
        if is_rollback and revision == receipt.previous:
            return True
        # While the release before it was still warm.
        is_return = receipt.outcome == "reverted" and receipt.reason == GOES_BACK
        if is_return and revision == receipt.revision:
            return True
    return False
