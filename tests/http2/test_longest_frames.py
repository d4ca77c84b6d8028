"""What takes longest of all that a client can send in one frame, or in one header block."""

import time

import hpack
import pytest
from h2.errors import ErrorCodes

from blue_green.http2 import frames
from tests.support.http2_client import LIMITS, POST, RawClient, settings

LONG = 0.02
"""Seconds; they take a third of it at most on a machine that is calm."""
HEAD = hpack.Encoder().encode(POST)
LITERAL = b"\x00\x01a\x00"


def text(size: int, value: bytes, *, huffman: bool = False) -> bytes:
    """A string of HPACK."""
    length = hpack.hpack.encode_integer(size, 7)
    length[0] |= 0x80 if huffman else 0
    return bytes(length) + value * (size // len(value))


def field(value: bytes, kind: bytes = b"\x00") -> bytes:
    return kind + text(1, b"a") + value


BLOCKS = {
    "fields that are spelled out": HEAD + 300 * LITERAL,
    "more of them than may be": HEAD + 4000 * LITERAL,
    "fields before a long one": HEAD + 300 * LITERAL + field(text(19_000, b"a")),
    "fields for the table": HEAD + 300 * field(text(1, b"b"), b"\x40"),
    "a value of Huffman code": HEAD + field(text(20_000, b"\0", huffman=True)),
    "references to the table": HEAD + field(text(4000, b"b"), b"\x40") + 11 * b"\xbe",
    "many references to the table": HEAD + field(text(1, b"b"), b"\x40") + 1000 * b"\xbe",
    "crumbs of cookies": HEAD + b"\x60" + text(1, b"c") + 1000 * b"\xbe",
    "changes of the table's size": 20_000 * b"\x20",
    "huge integers": HEAD + b"\xff" * 20_000,
}


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_the_time_for_a_header_block_has_a_bound(block: bytes) -> None:
    frames_of_it = frames.write_header_block(1, block, end=True)

    def take_it() -> None:
        client = RawClient()
        client.session.receive(frames_of_it)
        began = time.thread_time()
        client.send()
        times.append(time.thread_time() - began)

    times: list[float] = []
    for _ in range(3):
        take_it()
    assert min(times) < LONG


def test_the_time_for_settings_has_a_bound() -> None:
    client = RawClient()
    client.send(*[client.headers(2 * count + 1, POST, end=False) for count in range(100)])
    times = []
    for size in range(3):
        client.session.receive(settings(*[(4, size + count) for count in range(32)]))
        began = time.thread_time()
        client.send()
        times.append(time.thread_time() - began)
    assert client.ended_by() is None
    assert min(times) < LONG / 4


@pytest.mark.parametrize("size", [LIMITS.largest_block - 40, LIMITS.largest_block + 40])
def test_a_header_block_that_is_too_large_ends_the_connection(size: int) -> None:
    client = RawClient()
    block = HEAD + field(text(size - len(HEAD), b"a"))
    client.send(frames.write_header_block(1, block, end=True))
    expected = None if size < LIMITS.largest_block else ErrorCodes.ENHANCE_YOUR_CALM
    assert client.ended_by() == expected
