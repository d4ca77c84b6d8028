"""HPACK (RFC 7541) with a memory: what an identical block, or list of fields, gave before.

Blocks repeat: after its first requests, a program refers to entries of the dynamic table only. What
a block means depends on that table, so everything is forgotten whenever the table has changed.
"""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, Generic, TypeVar

from hpack import Decoder, Encoder, HeaderTuple, OversizedHeaderListError
from hpack.hpack import DEFAULT_MAX_HEADER_LIST_SIZE
from hpack.table import HeaderTable, table_entry_size

from blue_green.http2.head import Head

K = TypeVar("K")
V = TypeVar("V")

MOST_KNOWN = 32
"""Blocks that are known on a connection, in each direction."""
MOST_BYTES = 8 * 1024
"""Bytes of these blocks and of their fields. The heads made of them take thrice as much."""
PER_FIELD = 64
"""Bytes that a field takes besides its name and value."""
MOST_LITERALS = 320
"""Fields of a block that are spelled out, each of which takes ten times as long as a known one.
Browsers keep up to 180 cookies for a site, and HTTP/1.1 allows 100 lines."""
LARGEST_TABLE = HeaderTable.DEFAULT_SIZE
"""Bytes of the dynamic table for what we send, however much the client would allow."""


class HeaderBlock:
    """A decoded header block."""

    __slots__ = ("fields", "heads")

    def __init__(self, fields: Sequence[tuple[bytes, bytes]]) -> None:
        self.fields = fields
        self.heads: dict[bool, Head] = {}
        """What `request_heads` has made of it, by whether the stream ends with it."""


class KnownBlocks(Generic[K, V]):
    """A bounded table of results, valid while a dynamic table, and some limits, do not change."""

    def __init__(self, table: HeaderTable) -> None:
        self._table = table
        self._newest: tuple[bytes, bytes] | None = None
        self._state: tuple[int, ...] = ()
        self._known: dict[K, V] = {}
        self._bytes = 0

    def recall(self, key: K, *limits: int) -> V | None:
        """The result for this key, unless something has changed since the last call."""
        entries = self._table.dynamic_entries
        # Entries come at one end and go at the other. An equal entry that comes is another object.
        newest = entries[0] if entries else None
        state = (len(entries), self._table.maxsize, *limits)
        if newest is self._newest and state == self._state:
            return self._known.get(key)
        self._newest, self._state = newest, state
        self._forget()
        return None

    def remember(self, key: K, result: V, size: int) -> None:
        """Keep a result, which takes about so many bytes.

        If it came with a change of the table, the next `recall` forgets it.
        """
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
        self.block = HeaderBlock(())
        """The block that was decoded last."""
        self._blocks = KnownBlocks[bytes, HeaderBlock](self.header_table)
        self._literals = 0

    def decode(self, data: bytes, raw: bool = False) -> Iterable[HeaderTuple]:
        limits = (self.max_header_list_size, self.max_allowed_table_size)
        block = self._blocks.recall(data, *limits)
        if block is None:
            self._literals = 0
            fields = list(super().decode(data, raw=True))
            block = HeaderBlock(fields)
            self._blocks.remember(data, block, len(data) + _size(fields))
        self.block = block
        return []

    def _decode_literal(
        self, data: bytes | memoryview, should_index: bool
    ) -> tuple[HeaderTuple, int]:
        self._literals += 1
        if self._literals > MOST_LITERALS:
            raise OversizedHeaderListError(f"more than {MOST_LITERALS} fields are spelled out")
        return super()._decode_literal(data, should_index)


class RememberingEncoder(Encoder):
    """An encoder that encodes identical fields only once while its table does not change."""

    def __init__(self) -> None:
        super().__init__()
        self._blocks = KnownBlocks[tuple[Any, ...], bytes](self.header_table)

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
        fields = tuple(headers)
        tells_size = self.header_table.resized
        block = self._blocks.recall(fields)
        if block is None or tells_size:
            block = super().encode(fields, huffman)
            # A field that is never indexed equals one that may be, and is encoded otherwise.
            if not tells_size and all(getattr(field, "indexable", False) for field in fields):
                self._blocks.remember(fields, block, len(block) + _size(fields))
        return block


def _size(fields: Sequence[tuple[bytes, bytes]]) -> int:
    return PER_FIELD * len(fields) + sum(map(len, chain.from_iterable(fields)))
