"""Header blocks of responses, encoded by hpack, with a memory for fields that were sent before.

Fields whose value is nearly always another one are not indexed. So the table soon stays as it is,
and each field that is in it costs a lookup.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from hpack import Encoder, HeaderTuple
from hpack.table import HeaderTable, table_entry_size

from blue_green.http2.known import Known, size_of

LARGEST_TABLE = HeaderTable.DEFAULT_SIZE
"""Bytes of the dynamic table for what we send, however much the client would allow."""
NOT_INDEXED = {
    b"age", b"content-length", b"content-range", b"date", b"etag", b"expires", b"last-modified",
    b"location", b"x-request-id", b"x-runtime",
}  # fmt: skip
"""Fields that would fill the table with values that are not sent again."""
LONGEST = 128
MOST_SPELLED_OUT = 1024
"""Bytes of a value up to which its field is cached for all connections, and how many of these."""


class RememberingEncoder(Encoder):
    """An encoder that encodes an identical field only once while its table does not change."""

    def __init__(self) -> None:
        super().__init__()
        self._known = Known[HeaderTuple, bytes](self.header_table)

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
            self._known.forget()
            smallest = min([value, *self.table_size_changes])
            self.table_size_changes = [smallest] if smallest == value else [smallest, value]

    def encode(self, headers: Iterable[Any], huffman: bool = True) -> bytes:
        """Encode fields without Huffman code: hpack's takes a time that grows with the square."""
        known, parts = self._known, []
        if self.header_table.resized:
            parts.append(super().encode([]))
        for field in headers:
            if field[0] in NOT_INDEXED and len(field[1]) <= LONGEST:
                part: bytes | None = spelled_out(field)
            else:
                # A field that is never indexed equals one that may be, and is encoded otherwise.
                part = known.recall(field) if field.indexable else None
            parts.append(self._encode(field) if part is None else part)
        return b"".join(parts)

    def _encode(self, field: HeaderTuple) -> bytes:
        # A field that is larger than the table would only clear it.
        is_too_large = table_entry_size(*field) > self.header_table.maxsize
        is_not_indexed = is_too_large or not field.indexable or field[0] in NOT_INDEXED
        part = self.add((field[0], field[1]), is_not_indexed, huffman=False)
        if field.indexable:
            self._known.remember(field, part, len(part) + size_of([field]))
        return part


@lru_cache(MOST_SPELLED_OUT)
def spelled_out(field: HeaderTuple) -> bytes:
    """A field as a literal, which means the same whatever is in the dynamic table."""
    name, value = field
    return Encoder().add((name, value), sensitive=True, huffman=False)
