"""Responses of a backend over HTTP/2: framing, 1xx, trailers, and what breaks off."""

import os
from pathlib import Path

import pytest
from h2.errors import ErrorCodes

from blue_green.proxy.hsts import header_line
from tests.proxy.http2.frame_peer import ask, check_good_request, connect, request, window_update
from tests.raw.backend import drops, in_turn, says, silence
from tests.raw.files import roots, write
from tests.raw.messages import OK
from tests.raw.peer import Peer
from tests.raw.proxy import SHORT, RunningProxy, running
from tests.raw.sites import Plan, running_sites
from tests.raw.tls_client import PemPair
from tests.support.http2_frames import FrameType
from tests.support.http2_wire import WireResponse

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


OF_CONNECTIONS = (
    b"Connection: keep-alive, x-hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\nUpgrade: h2c\r\n"
    b"Proxy-Connection: close\r\n"
)


async def get(proxy: RunningProxy, path: bytes = b"/", *more: tuple[bytes, bytes]) -> WireResponse:
    return await ask(await connect(proxy), 1, path, *more)


WHOLE: dict[str, tuple[bytes, bytes]] = {
    "a length": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
    "chunks": (CHUNKED + b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", b"hello"),
    "no chunks": (CHUNKED + b"0\r\n\r\n", b""),
    "until the connection ends": (b"HTTP/1.1 200 OK\r\n\r\nhello", b"hello"),
    "nothing until the connection ends": (b"HTTP/1.1 200 OK\r\n\r\n", b""),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\n\r\nhello", b"hello"),
    "length 0": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    "304": (b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nContent-Length: 5\r\n\r\n', b""),
}


@pytest.mark.parametrize(("raw", "body"), WHOLE.values(), ids=WHOLE)
async def test_a_response_of_any_framing_is_whole_and_has_no_fields_of_connections(
    tls: PemPair, raw: bytes, body: bytes
) -> None:
    raw = raw.replace(b"\r\n", b"\r\n" + OF_CONNECTIONS + b"X-Odd: A \xff\r\n", 1)
    async with running(says(raw, close=True), tls=tls) as proxy:
        peer = await connect(proxy)
        await peer.send(peer.get(1))
        response = await peer.response(1)
        assert response.status == int(raw.split()[1])
        assert response.body == body
        names = [name for name, _ in response.fields]
        assert response["x-odd"] == "A \xff"
        assert response["date"]
        hops = {"connection", "keep-alive", "x-hop", "upgrade", "proxy-connection"}
        assert hops.isdisjoint(names)
        assert "transfer-encoding" not in names
        assert names == [name.lower() for name in names]
        await check_good_request(peer, 3)


async def test_head_gets_the_fields_and_the_end(tls: PemPair) -> None:
    async with running(says(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n"), tls=tls) as proxy:
        peer = await connect(proxy)
        await peer.send(peer.headers(1, request(b"HEAD", b"/")))
        head = await peer.expect(FrameType.HEADERS, 1)
        assert head.ends_stream
        assert dict(head.fields)["content-length"] == "900"
        assert proxy.backend.requests[0].line == b"HEAD / HTTP/1.1"
        await check_good_request(peer, 3)


async def test_trailers_of_a_backend_end_the_stream(tls: PemPair) -> None:
    raw = CHUNKED + b"2\r\nok\r\n0\r\nX-Sum: 6\r\nConnection: close\r\n\r\n"
    async with running(says(raw), tls=tls) as proxy:
        response = await get(proxy, b"/", (b"te", b"trailers"))
        assert (response.body, response.trailers) == (b"ok", (("x-sum", "6"),))


async def test_interim_responses_are_relayed_and_switching_is_not(tls: PemPair) -> None:
    """Section 8.1: 1xx without END_STREAM; 8.6: 101 never."""
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
    switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
    async with running(in_turn(says(early, early, OK), says(switch)), tls=tls) as proxy:
        peer = await connect(proxy)
        await peer.send(peer.get(1))
        response = await peer.response(1)
        assert (response.informational, response.status) == ([103, 103], 200)
        assert ("link", "</a.css>; rel=preload") in peer.on(1)[0].fields
        await peer.send(peer.get(3))
        assert (await peer.response(3)).status == 502
        await check_good_request(peer, 5)


CUT: dict[str, bytes] = {
    "a length": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
    "a length and no byte": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
    "chunks": CHUNKED + b"4\r\nhalf\r\n",
    "half a chunk": CHUNKED + b"9\r\nhalf",
    "a bad chunk": CHUNKED + b"4\r\nhalf\r\nxyz\r\n",
}


@pytest.mark.parametrize("raw", CUT.values(), ids=CUT)
async def test_a_response_that_is_cut_is_reset_and_never_ends(tls: PemPair, raw: bytes) -> None:
    async with running(says(raw, close=True), tls=tls) as proxy:
        peer = await connect(proxy)
        await peer.send(peer.get(1))
        await peer.check_reset(1, ErrorCodes.INTERNAL_ERROR)
        assert not any(got.ends_stream for got in peer.on(1))
        assert b"".join(got.payload for got in peer.on(1) if got.type == FrameType.DATA) in b"half"
        await check_good_request(peer, 3)


async def test_a_backend_that_sends_no_response_gets_the_client_502(tls: PemPair) -> None:
    async with running(drops, tls=tls) as proxy:
        peer = await connect(proxy)
        await peer.send(peer.headers(1, request(b"POST", b"/", (b"accept", b"text/html"))))
        response = await peer.response(1)
        assert response.status == 502
        assert response["content-type"].startswith("text/html")
        assert int(response["content-length"]) == len(response.body) > 0
        await peer.send(peer.headers(3, request(b"HEAD", b"/", (b"x", b"1"))))
        await check_good_request(peer, 5)
        assert (await peer.response(3)).body == b""


async def test_a_backend_that_stalls_gets_the_client_504_and_no_other_stream_notices(
    tls: PemPair,
) -> None:
    async with running(silence, tls=tls, response_timeout=SHORT) as proxy:
        peer = await connect(proxy)
        await peer.send(peer.get(1))
        assert (await peer.response(1)).status == 504
        await check_good_request(peer, 3)


async def test_responses_arrive_in_any_order(tls: PemPair) -> None:
    async def slow_first(peer: Peer) -> None:
        if b" /slow" in await peer.next_head():
            slow.append(peer)
        await says(OK)(peer) if b" /slow" not in await peer.next_head() else await silence(peer)

    slow: list[Peer] = []
    async with running(slow_first, tls=tls) as proxy:
        peer = await connect(proxy)
        await peer.send(peer.get(1, b"/slow"), peer.get(3), peer.get(5))
        for stream_id in (5, 3):
            assert (await peer.response(stream_id)).status == 200
        await proxy.until_backend_has(3)
        await slow[0].send(OK)
        assert (await peer.response(1)).status == 200


async def test_a_head_larger_than_a_frame_goes_on_in_continuation_frames(tls: PemPair) -> None:
    lines = b"".join(b"X-%d: %b\r\n" % (number, b"y" * 1000) for number in range(40))
    raw = b"HTTP/1.1 200 OK\r\n%bContent-Length: 2\r\n\r\nok" % lines
    async with running(says(raw), tls=tls) as proxy:
        peer = await connect(proxy, values={1: 0})  # No dynamic table, either.
        for stream_id in (1, 3):
            response = await ask(peer, stream_id, b"/")
            assert response.body == b"ok"
            values = [value for name, value in response.fields if name.startswith("x-")]
            assert values == ["y" * 1000] * 40
        sizes = [len(got.payload) for got in peer.on(1)]
        assert len(sizes) > 3
        assert max(sizes) <= 16_384


async def test_each_piece_of_a_response_without_length_is_sent_as_it_comes(tls: PemPair) -> None:
    async def in_pieces(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        ends.append(peer)
        await silence(peer)

    ends: list[Peer] = []
    async with running(in_pieces, tls=tls) as proxy:
        peer = await connect(proxy)
        await peer.send(peer.get(1))
        assert dict((await peer.expect(FrameType.HEADERS, 1)).fields)[":status"] == "200"
        for piece in (b"data: 1\n\n", b"data: 2\n\n"):
            await ends[0].send(piece)
            assert await peer.data(1, len(piece)) == piece
        await ends[0].close()
        assert (await peer.expect(FrameType.DATA, 1)).ends_stream


async def test_hsts_is_sent_with_responses_and_with_errors(tls: PemPair) -> None:
    async with running(in_turn(says(OK), drops), tls=tls) as proxy:
        proxy.site.hsts = header_line(60)
        for status in (200, 502):
            response = await get(proxy)
            assert response.status == status
            assert response["strict-transport-security"] == "max-age=60"


async def test_a_host_that_only_redirects_does_so_over_http_2(tls: PemPair) -> None:
    plan = Plan(hosts=("a.test",), redirect_hosts=("www.a.test",))
    async with running_sites({"a": plan}, tls=tls) as sites:
        peer = await connect(sites.proxy)
        to = [*request(b"GET", b"/x?y=1")[:2], (b":authority", b"www.a.test"), (b":path", b"/x?y")]
        await peer.send(peer.headers(1, to))
        response = await peer.response(1)
        assert (response.status, response["location"]) == (308, "https://a.test/x?y")


LARGE = os.urandom(400_000)


@pytest.fixture
def public(tmp_path: Path) -> Path:
    write(tmp_path / "release", {"public/a.txt": b"0123456789", "public/large.bin": LARGE})
    return tmp_path / "release"


async def test_files_are_served_whole_in_part_and_not_again(tls: PemPair, public: Path) -> None:
    async with running(tls=tls) as proxy:
        proxy.site.files = roots(public, has_app=True)
        peer = await connect(proxy, values={4: 2**20})
        await peer.send(window_update(0, 2**20))
        whole = await ask(peer, 1, b"/a.txt")
        assert (whole.status, whole.body) == (200, b"0123456789")
        part = await ask(peer, 3, b"/a.txt", (b"range", b"bytes=2-4"))
        assert (part.status, part.body, part["content-range"]) == (206, b"234", "bytes 2-4/10")
        known = await ask(peer, 5, b"/a.txt", (b"if-none-match", whole["etag"].encode()))
        assert (known.status, known.body) == (304, b"")
        await peer.send(peer.headers(7, request(b"HEAD", b"/large.bin")))
        head = await peer.response(7)
        assert (head.status, head.body, head["content-length"]) == (200, b"", "400000")
        assert (await ask(peer, 9, b"/large.bin")).body == LARGE
        late = await ask(peer, 11, b"/a.txt", (b"range", b"bytes=20-"))
        assert late.status == 416
        assert proxy.backend.heads == []
        assert (await ask(peer, 13, b"/app")).body == b"ok"
