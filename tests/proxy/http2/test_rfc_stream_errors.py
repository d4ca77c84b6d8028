"""Stream errors (RFC 9113 section 5.4.2): the stream is reset, and nobody else notices.

The cases are sent one after another on streams of one connection, while the body of a request on
stream 1 is on its way. That request gets its response in the end, and so does a good one.
"""

from collections.abc import Callable, Mapping

from h2.errors import ErrorCodes

from tests.proxy.http2.frame_peer import (
    FramePeer,
    Pairs,
    connect,
    data,
    request,
    window_update,
)
from tests.raw.backend import says, silence
from tests.raw.messages import OK
from tests.raw.peer import Peer
from tests.raw.proxy import RunningProxy, running
from tests.raw.tls_client import PemPair
from tests.support.http2_frames import END_HEADERS, END_STREAM, PRIORITY, FrameType, frame

GET, HTTPS, HERE, BAD = request(b"GET", b"/bad")
PROTOCOL_ERROR = ErrorCodes.PROTOCOL_ERROR
LARGEST = 2**31 - 1

Case = tuple[ErrorCodes, Callable[[FramePeer, int], bytes]]
"""The error, and the frames on a stream that lead to it."""


MALFORMED: dict[str, Pairs] = {
    "8.2 upper case in a name": [GET, HTTPS, HERE, BAD, (b"X-a", b"1")],
    "8.2.1 a space in a name": [GET, HTTPS, HERE, BAD, (b"x a", b"1")],
    "8.2.1 a colon in a name": [GET, HTTPS, HERE, BAD, (b"x:a", b"1")],
    "8.2.1 a byte over 127 in a name": [GET, HTTPS, HERE, BAD, (b"x\xe9", b"1")],
    "8.2.1 an empty name": [GET, HTTPS, HERE, BAD, (b"", b"1")],
    "8.2.1 CR LF in a value": [GET, HTTPS, HERE, BAD, (b"x", b"a\r\nGET /smuggled HTTP/1.1")],
    "8.2.1 LF in a value": [GET, HTTPS, HERE, BAD, (b"x", b"a\nb")],
    "8.2.1 NUL in a value": [GET, HTTPS, HERE, BAD, (b"x", b"a\0b")],
    "8.2.1 a space before a value": [GET, HTTPS, HERE, BAD, (b"x", b" a")],
    "8.2.1 a tab after a value": [GET, HTTPS, HERE, BAD, (b"x", b"a\t")],
    "8.2.2 connection": [GET, HTTPS, HERE, BAD, (b"connection", b"close")],
    "8.2.2 keep-alive": [GET, HTTPS, HERE, BAD, (b"keep-alive", b"timeout=5")],
    "8.2.2 proxy-connection": [GET, HTTPS, HERE, BAD, (b"proxy-connection", b"close")],
    "8.2.2 transfer-encoding": [GET, HTTPS, HERE, BAD, (b"transfer-encoding", b"chunked")],
    "8.2.2 upgrade": [GET, HTTPS, HERE, BAD, (b"upgrade", b"websocket")],
    "8.2.2 te: gzip": [GET, HTTPS, HERE, BAD, (b"te", b"gzip")],
    "8.3 a pseudo-header after a field": [GET, HTTPS, HERE, (b"x", b"1"), BAD],
    "8.3 an unknown pseudo-header": [GET, HTTPS, HERE, BAD, (b":x", b"1")],
    "8.3 a pseudo-header of responses": [GET, HTTPS, HERE, BAD, (b":status", b"200")],
    "8.3 a pseudo-header twice": [GET, HTTPS, HERE, BAD, BAD],
    "8.3.1 no :method": [HTTPS, HERE, BAD],
    "8.3.1 an empty :method": [(b":method", b""), HTTPS, HERE, BAD],
    "8.3.1 a space in :method": [(b":method", b"GET /smuggled"), HTTPS, HERE, BAD],
    "8.3.1 no :scheme": [GET, HERE, BAD],
    "8.3.1 no :path": [GET, HTTPS, HERE],
    "8.3.1 an empty :path": [GET, HTTPS, HERE, (b":path", b"")],
    "8.3.1 a relative :path": [GET, HTTPS, HERE, (b":path", b"bad")],
    "8.3.1 * as the :path of GET": [GET, HTTPS, HERE, (b":path", b"*")],
    "8.3.1 a space in :path": [GET, HTTPS, HERE, (b":path", b"/bad HTTP/1.1\r\nx: y")],
    "8.3.1 userinfo in :authority": [GET, HTTPS, (b":authority", b"me@h"), BAD],
    "8.3.1 an empty :authority": [GET, HTTPS, (b":authority", b""), BAD],
    "8.3.1 a space in :authority": [GET, HTTPS, (b":authority", b"h h"), BAD],
    "8.3.1 host is not :authority": [GET, HTTPS, HERE, BAD, (b"host", b"other")],
    "8.3.1 host twice": [GET, HTTPS, HERE, BAD, (b"host", b"h"), (b"host", b"h")],
    "8.1.1 content-length without content": [GET, HTTPS, HERE, BAD, (b"content-length", b"5")],
    "8.1.1 content-length twice": [
        *(GET, HTTPS, HERE, BAD, (b"content-length", b"0"), (b"content-length", b"5")),
    ],
    "8.1.1 content-length +0": [GET, HTTPS, HERE, BAD, (b"content-length", b"+0")],
    "8.1.1 a list as content-length": [GET, HTTPS, HERE, BAD, (b"content-length", b"0, 0")],
    "8.5 CONNECT with :path": [(b":method", b"CONNECT"), HERE, BAD],
    "8.5 CONNECT with :scheme": [(b":method", b"CONNECT"), HTTPS, HERE],
    "8.5 CONNECT without :authority": [(b":method", b"CONNECT")],
    "8441.4 :protocol with GET": [GET, HTTPS, HERE, BAD, (b":protocol", b"websocket")],
    "8441.4 :protocol and END_STREAM": [
        *((b":method", b"CONNECT"), HTTPS, HERE, BAD, (b":protocol", b"websocket")),
    ],
}


async def only_neighbours(peer: Peer) -> None:
    """A backend that answers all requests but those of the cases."""
    await (silence if b" /bad" in await peer.next_head() else says(OK))(peer)


async def check_stream_errors(proxy: RunningProxy, cases: Mapping[str, Case]) -> None:
    """Each case is reset with its code, and no backend gets a whole request of any."""
    peer = await connect(proxy)
    await peer.send(peer.post(1, (b"content-length", b"10")), data(1, b"hello"))
    await proxy.until_backend_has(1)
    found: dict[str, list[str]] = {}
    for stream_id, (name, (_, send)) in enumerate(cases.items(), 1):
        await peer.send(send(peer, 2 * stream_id + 1))
        await peer.check_alive()
        found[name] = [
            str(got)
            for got in peer.on(2 * stream_id + 1)
            if got.type != FrameType.WINDOW_UPDATE  # Some arrive before the error, some after it.
        ]
    last = 2 * len(cases) + 3
    assert found == {
        name: [f"RST_STREAM on {2 * number + 1}, flags 0x0, 4 bytes {code.name}"]
        for number, (name, (code, _)) in enumerate(cases.items(), 1)
    }
    await peer.send(data(1, b"world", end=True), peer.get(last, b"/good"))
    assert (await peer.response(1)).status == 200
    assert (await peer.response(last)).body == b"good"
    assert [whole.body for whole in proxy.backend.requests] == [b"helloworld"]


async def test_a_malformed_head_resets_its_stream_and_reaches_no_backend(tls: PemPair) -> None:
    def case(fields: Pairs) -> Case:
        return PROTOCOL_ERROR, lambda peer, stream_id: peer.headers(stream_id, fields)

    async with running(only_neighbours, tls=tls, buffer_requests=0) as proxy:
        await check_stream_errors(proxy, {name: case(fields) for name, fields in MALFORMED.items()})
        assert len(proxy.backend.heads) == 1


FRAMES: dict[str, Case] = {
    "5.3.1 of 7540: a stream depends on itself": (
        PROTOCOL_ERROR,
        lambda peer, i: frame(
            FrameType.HEADERS,
            i,
            (i).to_bytes(4) + b"\x10" + peer.encoder.encode(request(b"GET", b"/bad")),
            END_STREAM | END_HEADERS | PRIORITY,
        ),
    ),
    "5.1 DATA after END_STREAM": (
        ErrorCodes.STREAM_CLOSED,
        lambda peer, i: peer.get(i, b"/bad") + data(i, b"more"),
    ),
    "5.1 HEADERS after END_STREAM": (
        ErrorCodes.STREAM_CLOSED,
        lambda peer, i: peer.get(i, b"/bad") + peer.headers(i, [(b"x", b"1")]),
    ),
    "6.3 PRIORITY with 4 bytes": (
        ErrorCodes.FRAME_SIZE_ERROR,
        lambda peer, i: peer.get(i, b"/bad") + frame(FrameType.PRIORITY, i, bytes(4)),
    ),
    "6.9 an increment of 0": (
        PROTOCOL_ERROR,
        lambda peer, i: peer.get(i, b"/bad") + window_update(i, 0),
    ),
    "6.9.1 a window over its bound": (
        ErrorCodes.FLOW_CONTROL_ERROR,
        lambda peer, i: peer.get(i, b"/bad") + window_update(i, LARGEST),
    ),
    "8.1 trailers that do not end the stream": (
        PROTOCOL_ERROR,
        lambda peer, i: peer.post(i, path=b"/bad") + peer.headers(i, [(b"x", b"1")], 0),
    ),
    "8.1 a pseudo-header in trailers": (
        PROTOCOL_ERROR,
        lambda peer, i: peer.post(i, path=b"/bad") + peer.headers(i, [(b":path", b"/")]),
    ),
    "8.2.1 a bad value in trailers": (
        PROTOCOL_ERROR,
        lambda peer, i: peer.post(i, path=b"/bad") + peer.headers(i, [(b"x", b"a\r\nb")]),
    ),
    "8.2.2 transfer-encoding in trailers": (
        PROTOCOL_ERROR,
        lambda peer, i: (
            peer.post(i, path=b"/bad") + peer.headers(i, [(b"transfer-encoding", b"chunked")])
        ),
    ),
    "8.1.1 more content than content-length": (
        PROTOCOL_ERROR,
        lambda peer, i: peer.post(i, (b"content-length", b"3"), path=b"/bad") + data(i, b"four"),
    ),
    "8.1.1 less content than content-length": (
        PROTOCOL_ERROR,
        lambda peer, i: (
            peer.post(i, (b"content-length", b"5"), path=b"/bad") + data(i, b"four", end=True)
        ),
    ),
    "8.1.1 trailers before all content": (
        PROTOCOL_ERROR,
        lambda peer, i: (
            peer.post(i, (b"content-length", b"5"), path=b"/bad")
            + data(i, b"four")
            + peer.headers(i, [(b"x", b"1")])
        ),
    ),
    "8.1.1 content though content-length is 0": (
        PROTOCOL_ERROR,
        lambda peer, i: peer.post(i, (b"content-length", b"0"), path=b"/bad") + data(i, b"GET"),
    ),
}


async def test_a_bad_frame_resets_its_stream_and_completes_no_request(tls: PemPair) -> None:
    async with running(only_neighbours, tls=tls, buffer_requests=0) as proxy:
        await check_stream_errors(proxy, FRAMES)
