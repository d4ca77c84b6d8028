"""What is wrong with a frame by itself ends the connection, or one stream, or nothing (RFC 9113).

Each row names the section that says so.
"""

from typing import NamedTuple

import pytest
from attrs import evolve
from h2.errors import ErrorCodes

from blue_green.http2 import frames
from blue_green.http2.events import RequestBegun, RequestMalformed
from blue_green.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    GOAWAY,
    HAS_PRIORITY,
    HEADERS,
    PADDED,
    PING,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    write_frame,
)
from tests.support.http2_client import LIMITS, POST, RawClient, data, settings

PROTOCOL, SIZE = ErrorCodes.PROTOCOL_ERROR, ErrorCodes.FRAME_SIZE_ERROR
OPENS_BLOCK = write_frame(HEADERS, 0, 3, b"\x82")
"""HEADERS on stream 3 without END_HEADERS."""


class WrongFrame(NamedTuple):
    section: str
    what: str
    wire: bytes
    code: ErrorCodes


ENDS_CONNECTION = [
    WrongFrame("4.2", "larger than allowed", frames.frame_header(16385, DATA, 0, 1), SIZE),
    WrongFrame("4.2", "larger, of no stream", frames.frame_header(2**24 - 1, SETTINGS, 0, 0), SIZE),
    WrongFrame("4.3", "block broken by DATA", OPENS_BLOCK + data(1, b"x"), PROTOCOL),
    WrongFrame("4.3", "block broken by HEADERS", OPENS_BLOCK + OPENS_BLOCK, PROTOCOL),
    WrongFrame("5.5", "block broken by unknown", OPENS_BLOCK + write_frame(99, 0, 3), PROTOCOL),
    WrongFrame("6.1", "DATA on stream 0", data(0, b"x"), PROTOCOL),
    WrongFrame(
        "6.1", "DATA with too much padding", write_frame(DATA, PADDED, 1, b"\x02ab"[:2]), PROTOCOL
    ),
    WrongFrame("6.1", "DATA without pad length", write_frame(DATA, PADDED, 1), SIZE),
    WrongFrame(
        "6.2", "HEADERS on stream 0", write_frame(HEADERS, END_HEADERS, 0, b"\x82"), PROTOCOL
    ),
    WrongFrame("6.2", "HEADERS all padding", write_frame(HEADERS, 12, 3, b"\x05\x82ab"), PROTOCOL),
    WrongFrame(
        "6.2", "HEADERS shorter than priority", write_frame(HEADERS, 0x24, 3, b"1234"), SIZE
    ),
    WrongFrame("6.3", "PRIORITY on stream 0", write_frame(PRIORITY, 0, 0, bytes(5)), PROTOCOL),
    WrongFrame("6.3", "PRIORITY of 4 bytes, idle", write_frame(PRIORITY, 0, 9, bytes(4)), SIZE),
    WrongFrame("6.4", "RST_STREAM on stream 0", write_frame(RST_STREAM, 0, 0, bytes(4)), PROTOCOL),
    WrongFrame("6.4", "RST_STREAM of 3 bytes", write_frame(RST_STREAM, 0, 1, bytes(3)), SIZE),
    WrongFrame("6.4", "RST_STREAM of 5 bytes", write_frame(RST_STREAM, 0, 1, bytes(5)), SIZE),
    WrongFrame("6.5", "SETTINGS on a stream", write_frame(SETTINGS, 0, 1), PROTOCOL),
    WrongFrame("6.5", "SETTINGS of 5 bytes", write_frame(SETTINGS, 0, 0, bytes(5)), SIZE),
    WrongFrame("6.5", "ACK with a payload", write_frame(SETTINGS, ACK, 0, bytes(6)), SIZE),
    WrongFrame("6.5.2", "push is 2", settings((2, 2)), PROTOCOL),
    WrongFrame("6.5.2", "window too large", settings((4, 2**31)), ErrorCodes.FLOW_CONTROL_ERROR),
    WrongFrame("6.5.2", "window too large once", settings((4, 2**31), (4, 1)), ErrorCodes(3)),
    WrongFrame("6.5.2", "frame size too small", settings((5, 16383)), PROTOCOL),
    WrongFrame("6.5.2", "frame size too large", settings((5, 2**24)), PROTOCOL),
    WrongFrame("8441 3", "connect protocol is 2", settings((8, 2)), PROTOCOL),
    WrongFrame("6.6", "PUSH_PROMISE", write_frame(PUSH_PROMISE, 4, 1, b"\0\0\0\2\x82"), PROTOCOL),
    WrongFrame("6.7", "PING on a stream", write_frame(PING, 0, 1, bytes(8)), PROTOCOL),
    WrongFrame("6.7", "PING of 7 bytes", write_frame(PING, 0, 0, bytes(7)), SIZE),
    WrongFrame("6.8", "GOAWAY on a stream", write_frame(GOAWAY, 0, 1, bytes(8)), PROTOCOL),
    WrongFrame("6.8", "GOAWAY of 7 bytes", write_frame(GOAWAY, 0, 0, bytes(7)), SIZE),
    WrongFrame("6.9", "increment of 0", write_frame(WINDOW_UPDATE, 0, 0, bytes(4)), PROTOCOL),
    WrongFrame("6.9", "WINDOW_UPDATE of 3 bytes", write_frame(WINDOW_UPDATE, 0, 1, bytes(3)), SIZE),
    WrongFrame(
        "6.9", "reserved bit and 0", write_frame(WINDOW_UPDATE, 0, 0, b"\x80\0\0\0"), PROTOCOL
    ),
    WrongFrame("6.10", "CONTINUATION alone", write_frame(CONTINUATION, 4, 1, b"\x82"), PROTOCOL),
    WrongFrame(
        "6.10", "of another stream", OPENS_BLOCK + write_frame(CONTINUATION, 4, 5), PROTOCOL
    ),
    WrongFrame("6.10", "after END_HEADERS", write_frame(CONTINUATION, 4, 0), PROTOCOL),
]


@pytest.mark.parametrize("row", ENDS_CONNECTION, ids=lambda row: f"{row.section} {row.what}")
def test_a_wrong_frame_ends_the_connection(row: WrongFrame) -> None:
    client = RawClient()
    client.send(client.headers(1, POST, end=False))
    assert client.send(row.wire) == []
    assert client.ended_by() == row.code
    assert client.goaway() == (1, row.code)
    assert not client.session.has_frame


@pytest.mark.parametrize(
    "first",
    [
        write_frame(PING, 0, 0, bytes(8)),
        write_frame(SETTINGS, ACK, 0),
        write_frame(HEADERS, 4, 1, b"\x82"),
        write_frame(CONTINUATION, 4, 1, b"\x82"),
        write_frame(99, 0, 0),
    ],
)
def test_the_first_frame_has_to_be_settings(first: bytes) -> None:
    """Section 3.4."""
    client = RawClient(start=b"")
    client.send(frames.PREFACE, first)
    assert client.ended_by() == PROTOCOL


class WrongStreamFrame(NamedTuple):
    section: str
    what: str
    wire: bytes
    code: ErrorCodes = PROTOCOL


ENDS_STREAM = [
    WrongStreamFrame("6.3", "PRIORITY of 4 bytes", write_frame(PRIORITY, 0, 1, bytes(4)), SIZE),
    WrongStreamFrame("6.3", "PRIORITY of 6 bytes", write_frame(PRIORITY, 0, 1, bytes(6)), SIZE),
    WrongStreamFrame("7540 5.3.1", "on itself", write_frame(PRIORITY, 0, 1, b"\0\0\0\1\0")),
    WrongStreamFrame("7540 5.3.1", "exclusively", write_frame(PRIORITY, 0, 1, b"\x80\0\0\1\0")),
    WrongStreamFrame("6.9", "increment of 0", write_frame(WINDOW_UPDATE, 0, 1, bytes(4))),
]


@pytest.mark.parametrize("row", ENDS_STREAM, ids=lambda row: f"{row.section} {row.what}")
def test_a_wrong_frame_of_a_stream_resets_that_stream_alone(row: WrongStreamFrame) -> None:
    client = RawClient()
    client.send(client.headers(1, POST, end=False), client.headers(3, POST, end=False))
    (event,) = client.send(row.wire)
    assert isinstance(event, RequestMalformed)
    assert event.head.startswith(b"POST / HTTP/1.1\r\n")
    assert client.resets() == [(1, row.code)]
    assert len(client.send(data(3, b"x", end=True))) == 2


def test_headers_that_depend_on_their_own_stream_reset_it_and_are_decoded() -> None:
    """RFC 7540 section 5.3.1."""
    client = RawClient()
    fields = [*POST, (b"x-known", b"later")]
    wrong = write_frame(HEADERS, 0x24, 1, b"\0\0\0\1\0" + client.block(fields))
    (event,) = client.send(wrong)
    assert isinstance(event, RequestMalformed)
    assert client.resets() == [(1, PROTOCOL)]
    (begun,) = client.send(client.headers(3, fields, end=False))
    assert isinstance(begun, RequestBegun)
    assert b"x-known: later\r\n" in begun.head


IGNORED = [
    ("5.3.2 PRIORITY of an idle stream", write_frame(PRIORITY, 0, 9, b"\0\0\0\1\0")),
    ("5.3.2 PRIORITY of an open stream", write_frame(PRIORITY, 0, 1, b"\0\0\0\3\0")),
    ("4.1 unknown frame", write_frame(0x10, 0xFF, 0, b"u=1")),
    ("4.1 unknown frame on a stream", write_frame(0xFF, 0, 1, bytes(100))),
    ("7838 ALTSVC", write_frame(0x0A, 0, 0, b"")),
    ("6.5.2 unknown settings", settings((9, 1), (0xFFFF, 2**32 - 1), (3, 2**32 - 1))),
    ("4.1 unknown flags", write_frame(SETTINGS, 0xFE, 0)),
]


@pytest.mark.parametrize(("what", "wire"), IGNORED, ids=[what for what, _ in IGNORED])
def test_what_means_nothing_to_us_is_ignored(what: str, wire: bytes) -> None:
    client = RawClient()
    client.send(client.headers(1, POST, end=False))
    assert client.send(wire) == []
    assert client.ended_by() is None
    assert client.resets() == []
    assert len(client.send(data(1, b"x", end=True))) == 2


def test_padding_and_priority_are_not_part_of_a_block() -> None:
    """Section 6.2."""
    client = RawClient()
    payload = b"\x03" + b"\x80\0\0\x07\xff" + client.block(POST) + b"abc"
    flags = END_HEADERS | PADDED | HAS_PRIORITY
    (begun,) = client.send(write_frame(HEADERS, flags, 1, payload))
    assert isinstance(begun, RequestBegun)


def test_a_block_may_come_in_pieces() -> None:
    """Section 6.10."""
    client = RawClient()
    block = client.block(POST)
    pieces = [
        write_frame(HEADERS, PADDED | 1, 1, b"\x01" + block[:2] + b"x"),
        write_frame(CONTINUATION, 0, 1, block[2:5]),
        write_frame(CONTINUATION, 0, 1),
        write_frame(CONTINUATION, END_HEADERS, 1, block[5:]),
    ]
    events = client.send(*pieces)
    assert [type(event).__name__ for event in events] == ["RequestBegun", "RequestEnded"]


@pytest.mark.parametrize("size", [1, 16384])
def test_a_block_of_too_many_frames_or_bytes_ends_the_connection(size: int) -> None:
    client = RawClient()
    head = write_frame(HEADERS, 0, 1, b"")
    client.send(head, *100 * [write_frame(CONTINUATION, 0, 1, bytes(size))])
    assert client.ended_by() == ErrorCodes.ENHANCE_YOUR_CALM


def test_a_block_is_heavy_when_its_last_frame_has_come_and_it_is_long() -> None:
    client = RawClient(evolve(LIMITS, max_head=64 * 1024))
    session = client.session
    session.receive(write_frame(HEADERS, 0, 1, b"\x82" * 4096))
    assert not session.is_heavy
    session.step()
    whole = write_frame(CONTINUATION, END_HEADERS, 1, b"\x82")
    session.receive(whole[:9])
    seen = [(session.has_frame, session.is_heavy)]
    session.receive(whole[9:])
    seen.append((session.has_frame, session.is_heavy))
    assert seen[1] == (True, True)
    assert not seen[0][0]


def test_a_client_is_in_a_head_until_its_preface_and_each_block_are_complete() -> None:
    client = RawClient(start=b"")
    session, states = client.session, []
    head = client.headers(1, POST, end=False)
    wire = [
        frames.PREFACE[:5],
        frames.PREFACE[5:] + settings(),
        head[:12],
        head[12:],
        write_frame(HEADERS, 0, 3, client.block(POST)),
        write_frame(CONTINUATION, END_HEADERS, 3),
        data(1, b"xyz")[:10],
    ]
    for part in wire:
        client.send(part)
        states.append((session.is_in_head, session.is_partial))
    assert states == [
        (True, True),
        (False, False),
        (True, True),
        (False, False),
        (True, True),
        (False, False),
        (False, True),
    ]


def test_a_block_in_one_frame_has_the_same_bound() -> None:
    client = RawClient(evolve(LIMITS, max_head=1024))
    client.send(write_frame(HEADERS, END_HEADERS, 1, b"\x82" * 5121))
    assert client.ended_by() == ErrorCodes.ENHANCE_YOUR_CALM
    why = "a header block has over 5120 bytes, which is [proxy] max_head and 4 KiB"
    assert str(client.over) == why
