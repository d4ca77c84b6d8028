"""A bounded memory of what HPACK gave before (RFC 7541).

What a block means depends on the dynamic table, so everything is forgotten when that has changed.
"""

from collections.abc import Iterable
from itertools import chain
from typing import Generic, TypeVar

from hpack.table import HeaderTable

K = TypeVar("K")
V = TypeVar("V")

MOST_KNOWN = 64
"""Results that are known on a connection, in each direction."""
MOST_BYTES = 8 * 1024
"""Bytes of what they were made from and of the results. Heads made of them take thrice as much."""
PER_FIELD = 64
"""Bytes that a field takes besides its name and value."""


class Known(Generic[K, V]):
    """A table of results, valid while a dynamic table, and some limits, do not change."""

    def __init__(self, table: HeaderTable) -> None:
        self._table = table
        self._newest: tuple[bytes, bytes] | None = None
        self._state: tuple[int, ...] = ()
        self._results: dict[K, V] = {}
        self._bytes = 0

    def recall(self, key: K, *limits: int) -> V | None:
        """The result for this key, unless something has changed since the last call."""
        entries = self._table.dynamic_entries
        # Entries come at one end and go at the other. An equal entry that comes is another object.
        newest = entries[0] if entries else None
        state = (len(entries), self._table.maxsize, *limits)
        if newest is self._newest and state == self._state:
            return self._results.get(key)
        self._newest, self._state = newest, state
        self.forget()
        return None

    def remember(self, key: K, result: V, size: int) -> None:
        """Keep a result, which takes about so many bytes.

        If it came with a change of the table, the next `recall` forgets it.
        """
        if size > MOST_BYTES:
            return
        if len(self._results) >= MOST_KNOWN or self._bytes + size > MOST_BYTES:
            self.forget()
        self._results[key] = result
        self._bytes += size

    def forget(self) -> None:
        """Forget all, since the table has changed and may be as before when the next one asks."""
        self._results.clear()
        self._bytes = 0


def size_of(fields: Iterable[tuple[bytes, bytes]]) -> int:
    """About how many bytes of memory the fields take."""
    fields = list(fields)
    return PER_FIELD * len(fields) + sum(map(len, chain.from_iterable(fields)))
