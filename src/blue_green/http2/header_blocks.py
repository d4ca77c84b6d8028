"""Header blocks of requests, decoded by hpack, with a memory for what is known already.

After its first requests, a client refers to entries of the dynamic table for nearly all fields.
What differs from one block to the next is the path, which browsers spell out each time. So blocks
are known by what they have besides their path, and the path alone is decoded.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hpack import Decoder, HeaderTuple, OversizedHeaderListError
from hpack.hpack import DEFAULT_MAX_HEADER_LIST_SIZE
from hpack.huffman_table import decode_huffman
from hpack.table import table_entry_size

from blue_green.http2.head import Head
from blue_green.http2.known import Known, size_of

MOST_LITERALS = 320
"""Fields of a block that are spelled out, each of which takes ten times as long as a known one.
Browsers keep up to 180 cookies for a site, and HTTP/1.1 allows 100 lines."""
MOST_FIELDS = 512
"""Fields of a block, each of which may be a single byte."""
INDEXED, HUFFMAN = 0x80, 0x80
"""Bits: of a field that is in a table, and of a string in Huffman code (sections 6.1 and 5.2)."""
PATH_LITERALS = (0x04, 0x05, 0x14, 0x15)
"""First bytes of a path whose value is spelled out and not to be indexed (sections 6.2.2, 6.2.3):
entries 4 and 5 of the static table have its name."""
PATH = b":path"


class TooManyFields(OversizedHeaderListError):
    """A block has more fields than it may; str() says how many."""


class SplitBlock(NamedTuple):
    """A block, divided where its path is spelled out."""

    before: bytes
    """Fields that are in a table, or the whole block if the path is nowhere behind those."""
    path: bytes
    """The path as a string literal without its length; empty if there is none."""
    is_huffman: bool
    after: bytes


class KnownFields:
    """The fields of blocks that differ at most in their path."""

    __slots__ = ("fields", "heads", "path_at", "spare")

    def __init__(
        self, fields: Sequence[tuple[bytes, bytes]], path_at: int = -1, limit: int = 0
    ) -> None:
        """`limit` is that of a header list, in bytes."""
        self.fields = fields
        self.path_at = path_at
        """Where the path is; -1 if all these blocks have the same one."""
        self.spare = 0
        """Bytes that another path may have."""
        if path_at >= 0:
            size = sum(table_entry_size(*field) for field in fields)
            self.spare = limit - size + len(fields[path_at][1])
        self.heads: dict[bool, Head] = {}
        """What `request_heads` has made of them, by whether the stream ends with the block."""


class HeaderBlock(NamedTuple):
    """A decoded header block."""

    known: KnownFields
    path: bytes | None
    """Its own path; None if it is the one in `known`."""

    @property
    def fields(self) -> Sequence[tuple[bytes, bytes]]:
        known, at = self.known, self.known.path_at
        if self.path is None:
            return known.fields
        return [*known.fields[:at], (PATH, self.path), *known.fields[at + 1 :]]


class RememberingDecoder(Decoder):
    """A decoder that decodes a block, apart from its path, only once while its table is the same.

    `decode` returns no fields: h2 would only look at them. They are in `block`.
    """

    def __init__(self, max_header_list_size: int = DEFAULT_MAX_HEADER_LIST_SIZE) -> None:
        super().__init__(max_header_list_size)
        self.block = HeaderBlock(KnownFields(()), None)
        """The block that was decoded last."""
        self._known = Known[tuple[bytes, bool, bytes], KnownFields](self.header_table)
        self._literals = self._fields = 0

    def decode(self, data: bytes, raw: bool = False) -> Iterable[HeaderTuple]:
        limits = (self.max_header_list_size, self.max_allowed_table_size)
        split = split_at_path(data)
        key = (split.before, bool(split.path), split.after)
        known = self._known.recall(key, *limits)
        if known is not None:
            path = _read_path(split)
            if path is None or len(path) <= known.spare:
                self.block = HeaderBlock(known, path)
                return []
        self._literals = self._fields = 0
        fields = list(super().decode(data, raw=True))
        path_at = len(split.before) if split.path else -1
        known = KnownFields(fields, path_at, self.max_header_list_size)
        self.block = HeaderBlock(known, None)
        self._known.remember(key, known, len(data) + size_of(fields))
        return []

    def _decode_indexed(self, data: bytes | memoryview) -> tuple[HeaderTuple, int]:
        self._fields += 1
        if self._fields > MOST_FIELDS:
            raise TooManyFields(f"has more than {MOST_FIELDS} fields")
        return super()._decode_indexed(data)

    def _decode_literal(
        self, data: bytes | memoryview, should_index: bool
    ) -> tuple[HeaderTuple, int]:
        self._literals += 1
        if self._literals > MOST_LITERALS:
            raise TooManyFields(f"spells out more than {MOST_LITERALS} fields")
        return super()._decode_literal(data, should_index)


def split_at_path(data: bytes) -> SplitBlock:
    """Divide a block at a path of up to 126 bytes that comes after indexed fields only.

    Each of those must be one byte, as the first 126 entries of the tables are.
    """
    at = 0
    for byte in data:
        if not byte & INDEXED or byte == 0xFF:
            break
        at += 1
    if data[at : at + 1] and data[at] in PATH_LITERALS and at + 1 < len(data):
        length = data[at + 1] & 0x7F
        end = at + 2 + length
        if 0 < length < 0x7F and end <= len(data):
            is_huffman = bool(data[at + 1] & HUFFMAN)
            return SplitBlock(data[:at], data[at + 2 : end], is_huffman, data[end:])
    return SplitBlock(data, b"", False, b"")


def _read_path(split: SplitBlock) -> bytes | None:
    """The path, if it is spelled out. Raises `HPACKDecodingError`."""
    if not split.path:
        return None
    return decode_huffman(split.path) if split.is_huffman else split.path
