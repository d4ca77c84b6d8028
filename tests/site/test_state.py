"""What a site remembers is bounded."""

from blue_green.site.receipt import Receipt
from blue_green.site.state import HISTORY, State


def test_only_the_last_swaps_are_remembered() -> None:
    state = State()
    for number in range(HISTORY + 5):
        state.remember(Receipt("promoted", str(number)))
    assert [receipt.revision for receipt in state.history] == [
        str(n) for n in range(5, HISTORY + 5)
    ]


def test_the_quarantine_is_bounded_with_the_history() -> None:
    state = State()
    state.put_in_quarantine("a" * 40, "it failed")
    state.remember(Receipt("failed", "a" * 40))
    for number in range(HISTORY - 1):
        state.remember(Receipt("promoted", f"{number:040x}"))
    assert state.quarantine == {"a" * 40: "it failed"}
    state.remember(Receipt("promoted", "b" * 40))
    assert state.quarantine == {}
