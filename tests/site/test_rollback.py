"""Whether a revision was rolled back."""

import pytest

from blue_green.site.receipt import Receipt
from blue_green.site.rollback import ROLLBACK_REQUESTED, was_rolled_back


def swap(outcome: str, revision: str, previous: str, asked_by: str, reason: str = "") -> Receipt:
    return Receipt(
        outcome,  # type: ignore[arg-type]
        revision,
        previous=previous,
        asked_by=asked_by,
        reason=reason,
    )


DEPLOYED = swap("promoted", "b", "a", "watch")


ROLLED_BACK = swap("promoted", "a", "b", "rollback")


RETURNED = swap("reverted", "b", "a", "watch", ROLLBACK_REQUESTED)


BROKEN = swap("reverted", "b", "a", "watch", "the app was killed by SIGSEGV")


FORWARD = swap("promoted", "b", "a", "rollback")


RESTARTED = swap("promoted", "a", "a", "restart")


@pytest.mark.parametrize(
    ("history", "answer"),
    [
        ([], False),
        ([DEPLOYED], False),
        ([DEPLOYED, ROLLED_BACK], True),
        ([DEPLOYED, ROLLED_BACK, RESTARTED], True),
        ([DEPLOYED, ROLLED_BACK, FORWARD], False),
        ([RETURNED], True),
        ([BROKEN], False),
        ([RETURNED, DEPLOYED], False),
    ],
)
def test_the_last_swap_decides_whether_a_revision_was_rolled_back(
    history: list[Receipt], answer: bool
) -> None:
    assert was_rolled_back("b", reversed(history)) == answer
