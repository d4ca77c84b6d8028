"""Chunked bodies, parsed in portions."""

import pytest

from blue_green.http.chunks import MOST_AT_ONCE, ChunkReader


@pytest.mark.parametrize("size", [b"1", b"1;a=b", b"01"])
def test_tiny_chunks_are_read_a_few_at_a_time(size: bytes) -> None:
    reader = ChunkReader()
    pieces = [reader.feed((size + b"\r\na\r\n") * 10_000 + b"0\r\n\r\nrest")]
    while not reader.has_ended:
        assert reader.has_more, reader.broken
        pieces.append(reader.feed(b""))
    assert max(map(len, pieces)) <= MOST_AT_ONCE
    assert b"".join(pieces) == b"a" * 10_000
    assert (reader.rest, reader.has_more) == (b"rest", False)
