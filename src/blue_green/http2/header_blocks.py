"""HPACK (RFC 7541) with a memory: what an identical block, or list of fields, gave before.

Blocks repeat: after its first requests, a program refers to entries of the dynamic table only. What
a block means depends on that table, so everything is forgotten whenever the table changes.
"""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, Generic, TypeVar

from hpack import Decoder, Encoder, HeaderTuple
from hpack.hpack import DEFAULT_MAX_HEADER_LIST_SIZE
from hpack.table import HeaderTable, table_entry_size

from blue_green.http2.head import Head

K = TypeVar("K")
V = TypeVar("V")

MOST_KNOWN = 32
"""Blocks that are known on a connection, in each direction."""
MOST_BYTES = 16 * 1024
"""Bytes of these blocks and of their fields."""
PER_FIELD = 64
"""Bytes that a field takes besides its name and value."""
LARGEST_TABLE = HeaderTable.DEFAULT_SIZE
"""Bytes of the dynamic table for what we send, however much the client would allow."""


class CountingTable(HeaderTable):
    """A table that counts its changes."""

    def __init__(self) -> None:
        super().__init__()
        self.changes = 0

    def add(self, name: bytes, value: bytes) -> None:
        self.changes += 1
        super().add(name, value)

    @property
    def maxsize(self) -> int:
        return self._maxsize

    @maxsize.setter
    def maxsize(self, newmax: int) -> None:
        self.changes += 1
        HeaderTable.maxsize.fset(self, newmax)  # type: ignore[attr-defined]


class HeaderBlock:
    """A decoded header block."""

    __slots__ = ("fields", "heads")

    def __init__(self, fields: Sequence[tuple[bytes, bytes]]) -> None:
        self.fields = fields
        self.heads: dict[bool, Head] = {}
        """What `request_heads` has made of it, by whether the stream ends with it."""


class KnownBlocks(Generic[K, V]):
    """A bounded table of results, which are valid as long as the state does not change."""

    def __init__(self) -> None:
        self._known: dict[K, V] = {}
        self._state: object = None
        self._bytes = 0

    def recall(self, key: K, state: object) -> V | None:
        """The result for this key in this state, if it is known."""
        if state == self._state:
            return self._known.get(key)
        self._state = state
        self._forget()
        return None

    def remember(self, key: K, result: V, size: int) -> None:
        """Keep a result, which takes about so many bytes."""
        if size > MOST_BYTES:
            return
        if len(self._known) >= MOST_KNOWN or self._bytes + size > MOST_BYTES:
            self._forget()
        self._known[key] = result
        self._bytes += size

    def _forget(self) -> None:
        self._known.clear()
        self._bytes = 0


class RememberingDecoder(Decoder):
    """A decoder that decodes identical blocks only once while its table does not change.

    `decode` returns no fields: h2 would only look at them. They are in `block`.
    """

    def __init__(self, max_header_list_size: int = DEFAULT_MAX_HEADER_LIST_SIZE) -> None:
        super().__init__(max_header_list_size)
        self.header_table: CountingTable = CountingTable()
        self.block = HeaderBlock(())
        """The block that was decoded last."""
        self._known_blocks = KnownBlocks[bytes, HeaderBlock]()

    def decode(self, data: bytes, raw: bool = False) -> Iterable[HeaderTuple]:
        table = self.header_table
        state = (table.changes, self.max_header_list_size, self.max_allowed_table_size)
        block = self._known_blocks.recall(data, state)
        if block is None:
            fields = list(super().decode(data, raw=True))
            block = HeaderBlock(fields)
            if table.changes == state[0]:
                self._known_blocks.remember(data, block, len(data) + _size(fields))
        self.block = block
        return []


class RememberingEncoder(Encoder):
    """An encoder that encodes identical fields only once while its table does not change."""

    def __init__(self) -> None:
        super().__init__()
        self.header_table: CountingTable = CountingTable()
        self._known_blocks = KnownBlocks[tuple[Any, ...], bytes]()

    @property
    def header_table_size(self) -> int:
        return self.header_table.maxsize

    @header_table_size.setter
    def header_table_size(self, value: int) -> None:
        """Follow the client's SETTINGS_HEADER_TABLE_SIZE, up to a bound.

        The next block says so: with the smallest size since the last one, and the last size
        (RFC 7541 section 4.2).
        """
        value = min(value, LARGEST_TABLE)
        if value != self.header_table.maxsize:
            self.header_table.maxsize = value
            smallest = min([value, *self.table_size_changes])
            self.table_size_changes = [smallest] if smallest == value else [smallest, value]

    def add(self, to_add: tuple[bytes, bytes], sensitive: bool, huffman: bool = False) -> bytes:
        """Encode a field as it is: the time of hpack's Huffman code grows with the length squared.

        A field that is larger than the table would only clear it.
        """
        is_too_large = table_entry_size(*to_add) > self.header_table.maxsize
        return super().add(to_add, sensitive or is_too_large, huffman=False)

    def encode(self, headers: Iterable[Any], huffman: bool = True) -> bytes:
        table, fields = self.header_table, tuple(headers)
        changes, resized = table.changes, table.resized
        block = self._known_blocks.recall(fields, changes)
        if block is None or resized:
            block = super().encode(fields, huffman)
            # A field that is never indexed equals one that may be, and is encoded otherwise.
            is_plain = all(getattr(field, "indexable", False) for field in fields)
            if table.changes == changes and not resized and is_plain:
                self._known_blocks.remember(fields, block, len(block) + _size(fields))
        return block


def _size(fields: Sequence[tuple[bytes, bytes]]) -> int:
    return PER_FIELD * len(fields) + sum(map(len, chain.from_iterable(fields)))
