"""The windows of what clients send (RFC 9113 section 6.9)."""

from hypothesis import given
from hypothesis import strategies as st

from blue_green.http2.windows import INITIAL_WINDOW, ReceiveWindow


def test_a_window_is_opened_again_when_half_of_it_is_used() -> None:
    window = ReceiveWindow()
    assert window.take(INITIAL_WINDOW)
    assert window.use(INITIAL_WINDOW // 2) == 0
    assert window.use(1) == INITIAL_WINDOW // 2 + 1


def test_a_byte_more_than_the_window_allows_is_noticed() -> None:
    window = ReceiveWindow()
    assert window.take(INITIAL_WINDOW)
    assert not window.take(1)


def test_a_window_is_widened_once() -> None:
    window = ReceiveWindow()
    assert window.widen(2 * INITIAL_WINDOW) == INITIAL_WINDOW
    assert window.widen(2 * INITIAL_WINDOW) == 0


@given(st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 20_000), st.booleans())))
def test_a_window_never_leaks_and_never_stalls(steps: list[tuple[int, int, bool]]) -> None:
    window, size, left, unused = ReceiveWindow(), INITIAL_WINDOW, INITIAL_WINDOW, 0
    for arrives, used, is_widened in steps:
        count = min(arrives, left)
        assert window.take(count)
        left, unused = left - count, unused + count
        count = min(used, unused)
        left, unused = left + window.use(count), unused - count
        if is_widened:
            size = 1024 * 1024
            left += window.widen(size)
        assert left + unused <= size
        assert left + unused > size // 2
