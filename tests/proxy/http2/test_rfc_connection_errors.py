"""Connection errors (RFC 9113 section 5.4.1): GOAWAY with the error, then the end, for one client.

Each case is sent on a connection of its own, on which stream 1 had a whole request and response. A
good request on another connection is answered afterwards.
"""

from collections.abc import Callable

import trio
from h2.errors import ErrorCodes

from tests.proxy.http2.frame_peer import FramePeer, connect, data, reset, window_update
from tests.raw.proxy import RunningProxy, running
from tests.raw.tls_client import PemPair
from tests.support.http2_frames import (
    ACK,
    END_HEADERS,
    END_STREAM,
    PADDED,
    PRIORITY,
    FrameType,
    frame,
    settings,
)
from tests.support.http2_wire import PREFACE

Send = Callable[[FramePeer], bytes]

PROTOCOL_ERROR = ErrorCodes.PROTOCOL_ERROR
FLOW_CONTROL_ERROR = ErrorCodes.FLOW_CONTROL_ERROR
FRAME_SIZE_ERROR = ErrorCodes.FRAME_SIZE_ERROR
COMPRESSION_ERROR = ErrorCodes.COMPRESSION_ERROR
STREAM_CLOSED = ErrorCodes.STREAM_CLOSED
LARGEST = 2**31 - 1
HEAD = bytes([0x82, 0x87, 0x84, 0x41, 1]) + b"h"
"""The block of a GET of /."""


def raw(type: FrameType, stream_id: int = 0, payload: bytes = b"", flags: int = 0) -> Send:
    return lambda _: frame(type, stream_id, payload, flags)


def with_settings(key: int, value: int) -> Send:
    return lambda _: settings({key: value})


def head(block: bytes, flags: int = END_STREAM | END_HEADERS) -> Send:
    return raw(FrameType.HEADERS, 3, block, flags)


def begun(*frames: bytes) -> Send:
    """A header block that goes on, and then other frames."""
    return lambda _: frame(FrameType.HEADERS, 3, HEAD, END_STREAM) + b"".join(frames)


CASES: dict[str, tuple[ErrorCodes, Send]] = {
    # Frames, and states of streams.
    "4.2 a frame over 16384 bytes": (FRAME_SIZE_ERROR, raw(FrameType.DATA, 3, bytes(16385))),
    "4.2 an unknown frame over 16384 bytes": (
        FRAME_SIZE_ERROR,
        lambda _: frame(99, 0, bytes(16385)),
    ),
    "4.3 an index of no field": (COMPRESSION_ERROR, head(b"\xfe")),
    "4.3 a block that breaks off": (COMPRESSION_ERROR, head(HEAD + b"\x40\x05ab")),
    "4.3 Huffman code that ends wrong": (COMPRESSION_ERROR, head(HEAD + b"\x40\x81\x00\x01a")),
    "4.3 a table over its bound": (COMPRESSION_ERROR, head(b"\x3f\xe2\x1f" + HEAD)),
    "4.3 the table's size after a field": (COMPRESSION_ERROR, head(HEAD + b"\x20")),
    "4.3 a bad block in trailers": (
        COMPRESSION_ERROR,
        lambda peer: peer.post(3) + frame(FrameType.HEADERS, 3, b"\xfe", END_STREAM | END_HEADERS),
    ),
    "5.1 DATA on an idle stream": (PROTOCOL_ERROR, lambda _: data(3, b"x")),
    "5.1 RST_STREAM on an idle stream": (PROTOCOL_ERROR, lambda _: reset(3)),
    "5.1 WINDOW_UPDATE on an idle stream": (PROTOCOL_ERROR, lambda _: window_update(3, 1)),
    "5.1 HEADERS on a stream that ended": (STREAM_CLOSED, lambda peer: peer.get(1)),
    "5.1.1 HEADERS on a stream that was left out": (
        PROTOCOL_ERROR,
        lambda peer: peer.get(5, b"/good") + peer.get(3),
    ),
    "5.1.1 HEADERS on stream 2": (PROTOCOL_ERROR, lambda peer: peer.get(2)),
    "6.1 DATA on stream 0": (PROTOCOL_ERROR, lambda _: data(0, b"x")),
    "6.1 as much padding as DATA": (
        PROTOCOL_ERROR,
        lambda peer: peer.post(3) + frame(FrameType.DATA, 3, b"\x05abcd", PADDED),
    ),
    "6.1 padded DATA without a length": (
        FRAME_SIZE_ERROR,
        lambda peer: peer.post(3) + frame(FrameType.DATA, 3, b"", PADDED),
    ),
    "6.2 HEADERS on stream 0": (PROTOCOL_ERROR, lambda peer: peer.get(0)),
    "6.2 as much padding as HEADERS": (
        PROTOCOL_ERROR,
        head(bytes([len(HEAD) + 1]) + HEAD, END_STREAM | END_HEADERS | PADDED),
    ),
    "6.2 HEADERS without room for their priority": (
        FRAME_SIZE_ERROR,
        head(b"\x00\x00", END_STREAM | END_HEADERS | PRIORITY),
    ),
    # Header blocks in pieces.
    "4.3 PING in a block": (PROTOCOL_ERROR, begun(frame(FrameType.PING, 0, bytes(8)))),
    "4.3 HEADERS of another stream in a block": (
        PROTOCOL_ERROR,
        begun(frame(FrameType.HEADERS, 5, HEAD, END_STREAM | END_HEADERS)),
    ),
    "5.5 an unknown frame in a block": (PROTOCOL_ERROR, begun(frame(99))),
    "6.10 CONTINUATION of another stream": (
        PROTOCOL_ERROR,
        begun(frame(FrameType.CONTINUATION, 5, b"", END_HEADERS)),
    ),
    "6.10 CONTINUATION on stream 0": (
        PROTOCOL_ERROR,
        begun(frame(FrameType.CONTINUATION, 0, b"", END_HEADERS)),
    ),
    "6.10 CONTINUATION without a block": (
        PROTOCOL_ERROR,
        raw(FrameType.CONTINUATION, 3, HEAD, END_HEADERS),
    ),
    "6.10 CONTINUATION after END_HEADERS": (
        PROTOCOL_ERROR,
        lambda peer: peer.get(3, b"/good") + frame(FrameType.CONTINUATION, 3, b"", END_HEADERS),
    ),
    # Frames of the whole connection.
    "6.3 PRIORITY on stream 0": (PROTOCOL_ERROR, raw(FrameType.PRIORITY, 0, bytes(5))),
    "6.4 RST_STREAM on stream 0": (PROTOCOL_ERROR, lambda _: reset(0)),
    "6.4 RST_STREAM with 5 bytes": (FRAME_SIZE_ERROR, raw(FrameType.RST_STREAM, 1, bytes(5))),
    "6.5 SETTINGS on a stream": (PROTOCOL_ERROR, raw(FrameType.SETTINGS, 1)),
    "6.5 SETTINGS with 5 bytes": (FRAME_SIZE_ERROR, raw(FrameType.SETTINGS, 0, bytes(5))),
    "6.5 acknowledgement with content": (
        FRAME_SIZE_ERROR,
        raw(FrameType.SETTINGS, 0, bytes(6), ACK),
    ),
    "6.5.2 ENABLE_PUSH of 2": (PROTOCOL_ERROR, with_settings(2, 2)),
    "6.5.2 INITIAL_WINDOW_SIZE of 2^31": (FLOW_CONTROL_ERROR, with_settings(4, 2**31)),
    "6.5.2 MAX_FRAME_SIZE of 16383": (PROTOCOL_ERROR, with_settings(5, 16383)),
    "6.5.2 MAX_FRAME_SIZE of 2^24": (PROTOCOL_ERROR, with_settings(5, 2**24)),
    "6.6 PUSH_PROMISE": (
        PROTOCOL_ERROR,
        raw(FrameType.PUSH_PROMISE, 1, bytes(4) + HEAD, END_HEADERS),
    ),
    "6.7 PING on a stream": (PROTOCOL_ERROR, raw(FrameType.PING, 1, bytes(8))),
    "6.7 PING with 7 bytes": (FRAME_SIZE_ERROR, raw(FrameType.PING, 0, bytes(7))),
    "6.8 GOAWAY on a stream": (PROTOCOL_ERROR, raw(FrameType.GOAWAY, 1, bytes(8))),
    "6.8 GOAWAY with 7 bytes": (FRAME_SIZE_ERROR, raw(FrameType.GOAWAY, 0, bytes(7))),
    "6.9 an increment of 0": (PROTOCOL_ERROR, lambda _: window_update(0, 0)),
    "6.9 WINDOW_UPDATE with 3 bytes": (FRAME_SIZE_ERROR, raw(FrameType.WINDOW_UPDATE, 0, bytes(3))),
    "6.9.1 a window over its bound": (FLOW_CONTROL_ERROR, lambda _: window_update(0, LARGEST)),
    "6.9.2 a setting that makes a window too large": (
        FLOW_CONTROL_ERROR,
        lambda peer: peer.post(3) + window_update(3, 2**30) + settings({4: LARGEST}),
    ),
}

STARTS: dict[str, bytes] = {
    "3.4 HTTP/1.1": b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    "3.4 a preface with one wrong byte": PREFACE[:-1] + b"\r" + settings({}),
    "3.4 no SETTINGS": PREFACE + frame(FrameType.PING, 0, bytes(8)),
    "3.4 an acknowledgement instead of SETTINGS": PREFACE + frame(FrameType.SETTINGS, flags=ACK),
    "3.4 a request before SETTINGS": (
        PREFACE + frame(FrameType.HEADERS, 1, HEAD, END_STREAM | END_HEADERS)
    ),
}


async def check_connection_error(
    proxy: RunningProxy, case: str, code: ErrorCodes, send: Send
) -> None:
    peer = await connect(proxy)
    await peer.send(peer.get(1, b"/good"))
    assert (await peer.response(1)).status == 200
    await peer.send(send(peer))
    await peer.check_over(code, case)


async def check_wrong_start(proxy: RunningProxy, case: str, start: bytes) -> None:
    peer = await connect(proxy, start=False)
    await peer.send(start)
    await peer.check_over(PROTOCOL_ERROR, case)


async def check_good_request(proxy: RunningProxy) -> None:
    peer = await connect(proxy)
    await peer.send(peer.get(1, b"/good"))
    assert (await peer.response(1)).body == b"good"


async def test_a_connection_error_ends_its_connection_with_goaway(tls: PemPair) -> None:
    async with running(tls=tls) as proxy:
        async with trio.open_nursery() as nursery:
            for case, (code, send) in CASES.items():
                nursery.start_soon(check_connection_error, proxy, case, code, send)
        await check_good_request(proxy)
        assert proxy.backend.requests == []


async def test_a_wrong_preface_ends_the_connection(tls: PemPair) -> None:
    async with running(tls=tls) as proxy:
        async with trio.open_nursery() as nursery:
            for case, start in STARTS.items():
                nursery.start_soon(check_wrong_start, proxy, case, start)
        await check_good_request(proxy)
        assert proxy.backend.heads == []
