"""The memory of what HPACK gave."""

from collections import deque
from collections.abc import Callable

import pytest
from hpack.table import HeaderTable, table_entry_size

from blue_green.http2.known import MOST_BYTES, MOST_KNOWN, Known


@pytest.mark.parametrize(("size", "most"), [(1, MOST_KNOWN), (MOST_BYTES // 3, 3)])
def test_what_is_remembered_is_bounded_in_number_and_bytes(size: int, most: int) -> None:
    known = Known[int, int](HeaderTable())
    known.recall(0)
    for number in range(most):
        known.remember(number, number, size)
    assert [known.recall(number) for number in range(most)] == [*range(most)]
    known.remember(most, most, size)
    assert [known.recall(number) for number in range(most + 1)] == [None] * most + [most]
    known.remember(-1, -1, MOST_BYTES + 1)
    assert [known.recall(number) for number in (-1, most)] == [None, most]


CHANGES: dict[str, Callable[[HeaderTable], None]] = {
    "an entry comes": lambda table: table.add(b"new", b"entry"),
    "an equal entry comes, and another goes": lambda table: table.add(b"x", b"y"),
    "an entry goes": lambda table: set_sizes(table, 40),
    "an entry goes, and there is room again": lambda table: set_sizes(table, 40, 69),
    "all entries go": lambda table: table.add(b"large", b"x" * 100),
    "only the size changes": lambda table: set_sizes(table, 70),
}


def set_sizes(table: HeaderTable, *sizes: int) -> None:
    for size in sizes:
        table.maxsize = size


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_every_change_of_the_table_is_noticed(change: Callable[[HeaderTable], None]) -> None:
    table = HeaderTable()
    table.maxsize = table_entry_size(b"old", b"") + table_entry_size(b"x", b"y")
    table.add(b"old", b"")
    table.add(b"x", b"y")
    known = Known[str, int](table)
    known.recall("key", 1)
    known.remember("key", 5, 1)
    assert known.recall("key", 1) == 5
    assert table.dynamic_entries == deque([(b"x", b"y"), (b"old", b"")])
    change(table)
    assert known.recall("key", 1) is None
    known.remember("key", 5, 1)
    assert known.recall("key", 1) == 5
    assert known.recall("key", 2) is None
