"""Whether a revision was rolled back: then only a request for it by name deploys it again."""

from collections.abc import Iterable

from blue_green.site.receipt import Receipt
from blue_green.site.trigger import Trigger

ROLLBACK_REQUESTED = "a rollback was requested"
"""The reason in the receipt of a swap that was rolled back during its soak."""
CANARY_ROLLED_BACK = f"{ROLLBACK_REQUESTED}, which ends a canary: the live release stays"
"""The same in a canary, or in the build before it."""
ROLLBACK_REASONS = (ROLLBACK_REQUESTED, "a rollback was asked for")
"""The last one is in receipts of earlier versions."""


def was_rolled_back(revision: str, receipts: Iterable[Receipt]) -> bool:
    """Whether a rollback from this revision came after its last deploy; newest receipts first."""
    for receipt in receipts:
        if receipt.outcome == "promoted" and revision == receipt.revision:
            return False
        is_rollback = receipt.outcome == "promoted" and receipt.asked_by == Trigger.ROLLBACK
        if is_rollback and revision == receipt.previous:
            return True
        # A rollback during the soak has no receipt of its own.
        is_reverted = receipt.outcome == "reverted" and receipt.reason in ROLLBACK_REASONS
        if is_reverted and revision == receipt.revision:
            return True
    return False
