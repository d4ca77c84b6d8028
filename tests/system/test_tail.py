"""The last lines of a program are bounded in number and in bytes."""

from hypothesis import given
from hypothesis import strategies as st

from blue_green.system.tail import LONGEST_LINE, MAX_LINES, ROOM, Tail, last, shortened, size


def test_a_few_short_lines_are_kept_as_they_are() -> None:
    tail = Tail()
    tail.extend(["a", "", "b"])
    tail.extend(["c"])
    assert tail.lines == ("a", "", "b", "c")


def test_only_the_last_lines_are_kept() -> None:
    tail = Tail()
    tail.extend([str(number) for number in range(MAX_LINES + 5)])
    tail.extend(["the", "end"])
    assert len(tail.lines) == MAX_LINES
    assert tail.lines[:1] + tail.lines[-2:] == ("7", "the", "end")


def test_of_long_lines_fewer_are_kept_and_only_their_beginnings() -> None:
    lines = last([f"{number} {'x' * 10**6}" for number in range(MAX_LINES)])
    assert lines[-1].startswith(f"{MAX_LINES - 1} xxx")
    assert lines[-1].endswith(" ...")
    assert {len(line) for line in lines} == {LONGEST_LINE}
    assert 1 < len(lines) == ROOM // (LONGEST_LINE + 1)


def test_a_text_is_not_cut_within_a_character() -> None:
    assert shortened("\u00e9" * 10, 19) == "\u00e9" * 7 + " ..."
    assert shortened("\u00e9" * 10, 20) == "\u00e9" * 10


@given(st.lists(st.text(), max_size=2 * MAX_LINES), st.integers(4, 40))
def test_no_text_exceeds_the_bounds(lines: list[str], limit: int) -> None:
    tail = Tail()
    tail.extend(lines)
    assert tail.lines == last(lines)
    assert sum(map(size, tail.lines)) <= ROOM
    assert all(size(shortened(line, limit)) <= limit for line in lines)
