"""Frames that are in order, also odd ones (RFC 9113): what they mean, and what is ignored.

Numbers are sections of RFC 9113.
"""

from collections.abc import Callable

from h2.errors import ErrorCodes

from blue_green.config.kinds import Count
from blue_green.config.process_settings import Http2Settings
from tests.proxy.http2.frame_peer import (
    FramePeer,
    connect,
    data,
    request,
    reset,
    window_update,
)
from tests.raw.backend import in_turn, says, silence
from tests.raw.messages import OK
from tests.raw.proxy import running
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
from tests.support.http2_wire import PREFACE, PROTOCOL

MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, ENABLE_CONNECT = 3, 4, 5, 8

WITHOUT_EFFECT: dict[str, Callable[[FramePeer], bytes]] = {
    "4.1 an unknown type": lambda _: frame(99, 0, b"abc", 0xFF) + frame(10, 3, b"abc"),
    "4.1 unknown flags": lambda peer: (
        peer.headers(101, request(b"GET", b"/good"), END_STREAM | 0xD0)
        + frame(FrameType.PING, 0, bytes(8), ACK | 0xFE)
    ),
    "4.1 the reserved bit": lambda _: frame(FrameType.PRIORITY, 2**31 + 5, bytes(5)),
    "5.1 WINDOW_UPDATE on a stream that ended": lambda _: window_update(1, 1),
    "5.1 RST_STREAM on a stream that ended": lambda _: reset(1),
    "5.1 PRIORITY on a stream that ended": lambda _: frame(FrameType.PRIORITY, 1, bytes(5)),
    "5.1 PRIORITY on an idle stream": lambda _: frame(FrameType.PRIORITY, 999, bytes(5)),
    "5.3 a cycle of priorities": lambda _: (
        frame(FrameType.PRIORITY, 1001, (1003).to_bytes(4) + b"\xff")
        + frame(FrameType.PRIORITY, 1003, (1001).to_bytes(4) + b"\xff")
    ),
    "6.1 an empty DATA frame": lambda peer: peer.post(103) + data(103) + data(103, end=True),
    "6.2 a priority in HEADERS": lambda peer: frame(
        FrameType.HEADERS,
        105,
        bytes(5) + peer.encoder.encode(request(b"GET", b"/good")),
        END_STREAM | END_HEADERS | PRIORITY,
    ),
    "6.2 a padded HEADERS": lambda peer: frame(
        FrameType.HEADERS,
        107,
        b"\x09" + peer.encoder.encode(request(b"GET", b"/good")) + bytes(9),
        END_STREAM | END_HEADERS | PADDED,
    ),
    "6.4 an unknown error code": lambda peer: peer.post(109) + frame(3, 109, b"\xff" * 4),
    "6.5 empty SETTINGS": lambda _: settings({}),
    "6.5 unknown settings": lambda _: settings({0: 1, 0xF000: 2**32 - 1}),
    "6.5.2 all settings": lambda _: settings({1: 0, 2: 0, 3: 0, 4: 70_000, 5: 2**24 - 1, 6: 1}),
    "6.7 the answer to no PING": lambda _: frame(FrameType.PING, 0, bytes(8), ACK),
    "6.9 a window of 2^31-1": lambda _: window_update(0, 2**31 - 1 - 65_535),
}


async def test_frames_without_effect_leave_a_connection_as_it_is(tls: PemPair) -> None:
    async with running(tls=tls) as proxy:
        peer = await connect(proxy)
        await peer.send(peer.get(1, b"/good"))
        assert (await peer.response(1)).body == b"good"
        for case, send in WITHOUT_EFFECT.items():
            await peer.send(send(peer))
            await peer.check_alive()
            bad = [got for got in peer.frames if got.type in (FrameType.RST_STREAM, 7)]
            assert bad == [], case
        for stream_id in (101, 105, 107):
            assert (await peer.response(stream_id)).body == b"good"
        assert (await peer.response(103)).body == b"ok"


async def test_the_server_begins_with_its_settings_and_acknowledges_ours(tls: PemPair) -> None:
    async with running(tls=tls, http2=Http2Settings(max_streams=Count(7))) as proxy:
        peer = await connect(proxy, start=False)
        await peer.send(PREFACE)
        first = await peer.read()
        assert first is not None
        assert (first.type, first.flags, first.stream_id) == (FrameType.SETTINGS, 0, 0)
        values = first.settings
        assert values[MAX_CONCURRENT_STREAMS] == 7
        assert values[ENABLE_CONNECT] == 1
        assert values[MAX_FRAME_SIZE] == 16384
        assert 2 not in values or values[2] == 0
        await peer.send(settings({}), settings({INITIAL_WINDOW_SIZE: 1}))
        await peer.check_alive()
        acknowledgements = [got for got in peer.frames if got.type == FrameType.SETTINGS][1:]
        assert [(got.flags, got.payload) for got in acknowledgements] == [(ACK, b"")] * 2


async def test_a_ping_is_answered_with_its_content(tls: PemPair) -> None:
    async with running(tls=tls) as proxy:
        peer = await connect(proxy)
        await peer.send(
            frame(FrameType.PING, 0, b"12345678"), frame(FrameType.PING, 0, b"abcdefgh")
        )
        answers = [await peer.expect(FrameType.PING) for _ in range(2)]
        assert [got.payload for got in answers] == [b"12345678", b"abcdefgh"]
        assert [got.flags for got in answers] == [ACK, ACK]


async def test_a_block_in_pieces_of_any_size_is_one_head(tls: PemPair) -> None:
    async with running(tls=tls) as proxy:
        peer = await connect(proxy)
        block = peer.encoder.encode(request(b"GET", b"/a", (b"x", b"y" * 40)))
        pieces = [block[at : at + 8] for at in range(0, len(block), 8)]
        await peer.send(frame(FrameType.HEADERS, 1, b"", END_STREAM))
        for piece in pieces:
            await peer.send(frame(FrameType.CONTINUATION, 1, piece))
        await peer.send(frame(FrameType.CONTINUATION, 1, b"", END_HEADERS))
        assert (await peer.response(1)).status == 200
        assert proxy.backend.requests[0].field(b"x") == [b"y" * 40]


HPACK: dict[str, bytes] = {
    "7541.6.1 an index of the dynamic table": b"\xbe",
    "7541.6.2.1 a literal with indexing": b"\x40\1x\1y",
    "7541.6.2.1 a literal with an indexed name": b"\x7e\1y",
    "7541.6.2.2 a literal without indexing": b"\0\1x\1y",
    "7541.6.2.3 a literal that is never indexed": b"\x10\1x\1y",
    "7541.5.2 Huffman code": b"\x00\x81\xf3\x81\xf5",
}
CHANGED_TABLE: dict[str, bytes] = {
    "7541.6.3 a smaller table": b"\x20",
    "7541.4.2 two sizes at once": b"\x20\x3f\xe1\x1f",
}


async def test_every_form_of_a_header_field_reaches_the_backend(tls: PemPair) -> None:
    get = b"\x82\x87\x84\x01\1h"
    async with running(tls=tls) as proxy:
        peer = await connect(proxy)
        blocks = [get + b"\x40\1x\1y"]  # The first entry of the dynamic table.
        blocks += [get + form for form in HPACK.values()]
        blocks += [sizes + get + b"\0\1x\1y" for sizes in CHANGED_TABLE.values()]
        for number, block in enumerate(blocks):
            stream_id = 2 * number + 1
            await peer.send(frame(FrameType.HEADERS, stream_id, block, END_STREAM | END_HEADERS))
            assert (await peer.response(stream_id)).status == 200
        found = [got.field(b"x") for got in proxy.backend.requests]
        assert found == [[b"y"]] * len(blocks)


async def test_frames_after_the_clients_own_reset_are_refused_or_ignored(tls: PemPair) -> None:
    """Section 5.1: it knows that the stream is closed."""
    async with running(in_turn(silence, says(OK)), tls=tls, buffer_requests=0) as proxy:
        peer = await connect(proxy)
        await peer.send(peer.post(1))
        await proxy.until_backend_has(1)
        await peer.send(reset(1), reset(1), window_update(1, 5), data(1, b"x", end=True))
        await peer.check_reset(1, ErrorCodes.STREAM_CLOSED)
        await proxy.until_drained()
        assert proxy.backend.requests == []
        await peer.send(peer.get(3))
        assert (await peer.response(3)).status == 200


async def test_a_frame_on_a_stream_that_ended_is_refused_and_harms_no_other(tls: PemPair) -> None:
    """Section 5.1: STREAM_CLOSED, of the stream or of the connection."""
    async with running(tls=tls) as proxy:
        peer = await connect(proxy)
        await peer.send(peer.post(1), peer.get(3, b"/good"))
        assert (await peer.response(3)).status == 200
        await peer.send(data(3, b"x"))
        await peer.check_reset(3, ErrorCodes.STREAM_CLOSED)
        await peer.send(data(1, b"whole", end=True))
        assert (await peer.response(1)).status == 200
        assert [whole.body for whole in proxy.backend.requests] == [b"whole"]


async def test_frames_that_were_on_their_way_to_a_reset_stream_are_ignored(tls: PemPair) -> None:
    """Section 5.1. Their header blocks change the decoder's table all the same (4.3)."""
    async with running(tls=tls) as proxy:
        peer = await connect(proxy)
        await peer.send(peer.post(1, (b"content-length", b"1")), data(1, b"too much"))
        await peer.check_reset(1, ErrorCodes.PROTOCOL_ERROR)
        await peer.send(
            data(1, b"more"),
            window_update(1, 1),
            peer.headers(1, [(b"x-new", b"an entry of the table")]),
            peer.get(3, b"/a", (b"x-new", b"an entry of the table")),
        )
        assert (await peer.response(3)).status == 200
        kinds = [got.type for got in peer.on(1) if got.type != FrameType.WINDOW_UPDATE]
        assert kinds == [FrameType.RST_STREAM]
        assert proxy.backend.requests[0].field(b"x-new") == [b"an entry of the table"]


async def test_a_stream_beyond_the_limit_is_refused_and_can_be_repeated(tls: PemPair) -> None:
    """Section 5.1.2."""
    async with running(
        in_turn(silence, says(OK)), tls=tls, http2=Http2Settings(max_streams=Count(1))
    ) as proxy:
        peer = await connect(proxy)
        await peer.send(peer.get(1, b"/slow"))
        await proxy.until_backend_has(1)
        await peer.send(peer.get(3, b"/early"))
        await peer.check_reset(3, ErrorCodes.REFUSED_STREAM)
        await peer.send(reset(1))
        await peer.check_alive()
        await proxy.until_drained()
        await peer.send(peer.get(5, b"/again"))
        assert (await peer.response(5)).status == 200
        assert [head.split()[1] for head in proxy.backend.heads] == [b"/slow", b"/again"]


async def test_a_clients_goaway_lets_running_requests_end(tls: PemPair) -> None:
    """Section 6.8."""
    async with running(tls=tls) as proxy:
        peer = await connect(proxy)
        await peer.send(peer.post(1), data(1, b"a"))
        await peer.send(frame(FrameType.GOAWAY, 0, bytes(8)), data(1, b"b", end=True))
        assert (await peer.response(1)).status == 200
        assert proxy.backend.requests[0].body == b"ab"


async def test_a_cancelled_request_is_cancelled_at_the_backend(tls: PemPair) -> None:
    """Section 5.4.2, and 8.7: the lease ends, and no other stream notices."""
    async with running(in_turn(silence, says(OK)), tls=tls) as proxy:
        peer = await connect(proxy)
        await peer.send(peer.get(1, b"/slow"))
        await proxy.until_backend_has(1)
        await peer.send(reset(1))
        await proxy.until_drained()
        await proxy.backend.connections[0].gone.wait()
        await peer.send(peer.get(3))
        assert (await peer.response(3)).status == 200
        assert peer.on(1) == []


REFUSED: dict[str, tuple[int, Callable[[FramePeer], bytes]]] = {
    "8.3.1 a fragment in :path": (400, lambda peer: peer.get(1, b"/bad#a")),
    "8.3.1 no :authority and no host": (
        400,
        lambda peer: peer.headers(
            3, [(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/bad")]
        ),
    ),
    "8.5 CONNECT": (
        405,
        lambda peer: peer.headers(5, [(b":method", b"CONNECT"), (b":authority", b"h:443")]),
    ),
    "8441.4 a :protocol that nobody knows": (
        501,
        lambda peer: peer.headers(
            7, [*request(b"CONNECT", b"/bad"), (b":protocol", b"connect-udp")], 0
        ),
    ),
    "10.5.1 a head over its bound": (431, lambda peer: peer.get(9, b"/bad", (b"x", b"y" * 5000))),
    "TRACE": (501, lambda peer: peer.headers(11, request(b"TRACE", b"/bad"))),
}


async def test_a_request_that_http_1_1_refuses_gets_the_same_response(tls: PemPair) -> None:
    async with running(tls=tls, max_head=4096) as proxy:
        peer = await connect(proxy)
        found = {}
        for number, (case, (_, send)) in enumerate(REFUSED.items()):
            await peer.send(send(peer))
            response = await peer.response(2 * number + 1)
            found[case] = response.status
            assert int(response["content-length"]) == len(response.body) > 0
        assert found == {case: status for case, (status, _) in REFUSED.items()}
        await peer.check_reset(7, ErrorCodes.NO_ERROR)
        await peer.send(peer.get(13, b"/good"))
        assert (await peer.response(13)).body == b"good"
        assert proxy.backend.heads == []


async def test_without_alpn_or_with_http_1_1_a_client_speaks_http_1_1(tls: PemPair) -> None:
    async with running(tls=tls) as proxy:
        client = await proxy.ask(b"GET /good HTTP/1.1\r\nHost: h\r\n\r\n")
        assert (await client.answer()).body == b"good"
        assert client.stream.tls.selected_alpn_protocol() != PROTOCOL  # type: ignore[union-attr]
