"""WebSockets over HTTP/2 (RFC 8441), frame by frame: how they are opened, refused and ended."""

import select
import socket

import pytest
import trio
from h2.errors import ErrorCodes

from blue_green.proxy import streams
from blue_green.proxy.websocket import GOING_AWAY
from blue_green.routing.lease import end_streams
from tests.proxy.http2.frame_peer import (
    check_good_request,
    connect,
    data,
    reset,
)
from tests.proxy.http2.websocket_peer import accepts, chat, opened
from tests.raw.backend import Script
from tests.raw.peer import Peer
from tests.raw.proxy import RunningProxy, running
from tests.raw.tls_client import PemPair
from tests.raw.tunnels import echoes
from tests.support.http2_frames import FrameType
from tests.waiting import until

HELLO = b"\x81\x05hello"
CLOSE = b"\x88\x82\x01\x02\x03\x04\x02\xea"
"""A masked close frame."""


async def test_the_backend_gets_the_upgrade_of_http_1_1_and_the_client_200(tls: PemPair) -> None:
    script = accepts(echoes, b"", b"Sec-WebSocket-Protocol: b", b"X-Odd: 1")
    async with running(script, tls=tls) as proxy:
        peer = await connect(proxy)
        more = (b"sec-websocket-protocol", b"a, b"), (b"origin", b"https://h")
        await peer.send(peer.headers(1, chat(*more), 0))
        head = dict((await peer.expect(FrameType.HEADERS, 1)).fields)
        assert (head[":status"], head["sec-websocket-protocol"], head["x-odd"]) == ("200", "b", "1")
        assert {"connection", "upgrade", "sec-websocket-accept"}.isdisjoint(head)
        lines = proxy.backend.heads[0].lower().split(b"\r\n")
        assert lines[0] == b"get /chat?room=1 http/1.1"
        assert lines.count(b"connection: upgrade") == lines.count(b"upgrade: websocket") == 1
        assert {b"host: h", b"sec-websocket-version: 13", b"origin: https://h"} <= set(lines)
        assert [b"sec-websocket-key" in line for line in lines].count(True) == 1
        await peer.send(data(1, HELLO))
        assert await peer.data(1, len(HELLO)) == HELLO
        await check_good_request(peer, 3)
        await peer.send(data(1, end=True))
        assert (await peer.expect(FrameType.DATA, 1)).ends_stream


async def test_early_bytes_are_kept_in_both_directions(tls: PemPair) -> None:
    async with running(accepts(echoes, HELLO), tls=tls) as proxy:
        peer = await opened(proxy, data(1, b"early", padding=3), data(1, b" and more"))
        assert await peer.data(1, len(HELLO) + 14) == HELLO + b"early and more"
        await peer.send(reset(1))


REFUSALS = {
    "403": (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", 403),
    "426": (b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno", 426),
    "a redirect": (b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 2\r\n\r\nno", 302),
    "200, which would open it": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno", 502),
    "200 without length": (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nno", 502),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", 502),
    "101 without a key": (
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        502,
    ),
    "101 with the wrong key": (
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        502,
    ),
    "101 to something else": (
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\n",
        502,
    ),
    "garbage": (b"nonsense\r\n\r\n", 502),
}


@pytest.mark.parametrize(("raw", "status"), REFUSALS.values(), ids=REFUSALS)
async def test_a_websocket_that_the_backend_does_not_open_ends_with_a_response(
    tls: PemPair, raw: bytes, status: int
) -> None:
    async def refuses(peer: Peer) -> None:
        await peer.until(b"\r\n\r\n")
        await peer.send(raw)
        await peer.close()

    async with running(refuses, tls=tls) as proxy:
        peer = await connect(proxy)
        await peer.send(peer.headers(1, chat(), 0), data(1, b"early"))
        response = await peer.response(1)
        assert response.status == status
        assert (response.body == b"no") == (status != 502)
        await peer.check_reset(1, ErrorCodes.NO_ERROR)
        await peer.send(data(1, b"not for anybody"))
        await check_good_request(peer, 3)


async def test_each_side_may_end_its_half_and_still_receive(tls: PemPair) -> None:
    async def ends_first(peer: Peer) -> None:
        await peer.send(b"bye")
        await peer.end_sending()
        said.append(await peer.end())

    async def ends_last(peer: Peer) -> None:
        said.append(await peer.end())
        await peer.send(b"after the end")

    for then, bytes_ in ((ends_first, b"bye"), (ends_last, b"after the end")):
        said: list[bytes] = []
        async with running(accepts(then), tls=tls) as proxy:
            peer = await opened(proxy)
            if then is ends_first:
                assert await peer.data(1, len(bytes_)) == bytes_
                assert (await peer.expect(FrameType.DATA, 1)).ends_stream
                await peer.send(data(1, HELLO), data(1, b"", end=True))
            else:
                await peer.send(data(1, HELLO, end=True))
                assert await peer.data(1, len(bytes_)) == bytes_
                assert (await peer.expect(FrameType.DATA, 1)).ends_stream
            await until("the backend has all", lambda heard=said: heard == [HELLO])
            await proxy.until_drained()
            await check_good_request(peer, 3)
            assert [got for got in peer.on(1) if got.type == FrameType.RST_STREAM] == []


async def test_a_reset_of_the_client_ends_the_backends_connection(
    tls: PemPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "LINGER_TIMEOUT", 0.05)

    async def waits(peer: Peer) -> None:
        await peer.end()

    async with running(accepts(waits), tls=tls) as proxy:
        peer = await opened(proxy)
        await peer.send(reset(1))
        with trio.fail_after(3):
            await proxy.backend.connections[0].gone.wait()
        await proxy.until_drained()
        await check_good_request(peer, 3)


async def test_a_reset_of_the_backend_resets_the_stream(
    tls: PemPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 8441 section 5: with CANCEL, and never a proper end."""
    monkeypatch.setattr(streams, "LINGER_TIMEOUT", 0.05)

    async def resets(peer: Peer) -> None:
        await peer.exactly(2)
        await peer.reset()

    async with running(accepts(resets), tls=tls) as proxy:
        peer = await opened(proxy)
        await peer.send(data(1, b"go"))
        await peer.check_reset(1, ErrorCodes.CANCEL)
        assert not any(got.ends_stream for got in peer.on(1))
        await check_good_request(peer, 3)


async def test_a_swap_ends_a_websocket_with_a_close_frame_and_the_end_of_its_stream(
    tls: PemPair,
) -> None:
    async def talks(peer: Peer) -> None:
        await peer.send(HELLO)
        said.append(await peer.exactly(len(CLOSE)))

    said: list[bytes] = []
    async with running(accepts(talks), tls=tls) as proxy:
        peer = await opened(proxy)
        assert await peer.data(1, len(HELLO)) == HELLO
        assert end_streams(proxy.target.leases)
        assert await peer.data(1, len(GOING_AWAY)) == GOING_AWAY
        await peer.send(data(1, CLOSE, end=True))
        await until("the backend heard it", lambda: said == [CLOSE])
        assert (await peer.expect(FrameType.DATA, 1)).ends_stream
        await check_good_request(peer, 3)
        assert proxy.gate.tally.cut == 0


async def test_a_websocket_that_takes_nothing_stops_itself_and_nobody_else(tls: PemPair) -> None:
    async def pours(peer: Peer) -> None:
        await peer.send(bytes(300_000))
        await peer.end()

    async with running(accepts(pours), tls=tls) as proxy:
        peer = await connect(proxy, values={4: 1000})
        await peer.send(peer.headers(1, chat(), 0))
        await peer.data(1, 1000)
        await check_good_request(peer, 3)
        await peer.check_alive()
        assert sum(len(got.payload) for got in peer.on(1) if got.type == FrameType.DATA) == 1000
        await peer.send(reset(1))


async def test_a_websocket_outlives_silence(tls: PemPair) -> None:
    async with running(accepts(echoes), tls=tls, idle_timeout=0.1, response_timeout=0.1) as proxy:
        peer = await opened(proxy)
        await trio.sleep(0.4)  # Longer than anything else may be silent.
        await peer.send(data(1, HELLO))
        assert await peer.data(1, len(HELLO)) == HELLO


async def does_not_read(_: Peer) -> None:
    await trio.sleep_forever()


@pytest.mark.parametrize("then", [does_not_read, echoes])
async def test_a_reset_ends_a_tunnel_that_is_stuck_sending_to_its_backend(
    tls: PemPair, then: Script
) -> None:
    """One backend does not read, and the other one sends it all back to a client that does not."""

    async def with_small_buffers(peer: Peer) -> None:
        assert isinstance(peer.stream, trio.SocketStream)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            peer.stream.setsockopt(socket.SOL_SOCKET, option, 1)
        await then(peer)

    async with running(accepts(with_small_buffers), tls=tls) as proxy:
        peer = await connect(proxy, values={4: 0})
        await peer.send(peer.headers(1, chat(), 0))
        await peer.expect(FrameType.HEADERS, 1)
        (lease,) = proxy.target.leases
        assert lease.sock is not None
        lease.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        await peer.send(data(1, bytes(16_000)) * 60)  # As much as the window of a stream allows.
        await peer.check_alive()
        await until("it is stuck", lambda: not is_writable(lease.sock))
        await peer.send(reset(1))
        with trio.fail_after(5):
            await until("no stream is left", lambda: not streams_of(proxy))
            await proxy.until_drained()
        await peer.check_alive()


def is_writable(sock: socket.socket | None) -> bool:
    assert sock is not None
    return bool(select.select([], [sock], [], 0)[1])


def streams_of(proxy: RunningProxy) -> int:
    return proxy.listener.count_clients().http2_streams
