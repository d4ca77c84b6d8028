"""The end of an HTTP/2 connection: announced, then final, and no request is lost by it."""

import time
from collections.abc import Callable
from pathlib import Path

import trio
from h2.errors import ErrorCodes

from tests.raw.backend import says
from tests.raw.messages import OK
from tests.raw.peer import Peer
from tests.raw.proxy import SHORT, RunningProxy, running
from tests.raw.tls_client import write_pair
from tests.support.http2_frames import ACK, FrameType, WireFrame
from tests.support.http2_wire import FrameSocket, frame_socket

LAST_OF_ALL = 2**31 - 1
"""What a GOAWAY frame has that announces another one (RFC 9113 section 6.8)."""


def expect_goaway(client: FrameSocket, last: int) -> None:
    got = client.expect(FrameType.GOAWAY)
    assert (got.last_stream_id, got.error) == (last, ErrorCodes.NO_ERROR), str(got)


def expect_announcement(client: FrameSocket) -> WireFrame:
    """The ping with which the server finds out when the client has read it."""
    expect_goaway(client, LAST_OF_ALL)
    return client.expect(FrameType.PING)


def answer(client: FrameSocket, ping: WireFrame) -> None:
    client.send_frame(FrameType.PING, payload=ping.payload, flags=ACK)


def expect_close(client: FrameSocket) -> None:
    """Wait for the end of the connection; fail if it is a reset."""
    while client.sock.recv(64 * 1024):
        pass


def stop(proxy: RunningProxy) -> None:
    """Let the proxy stop, from another thread."""
    trio.from_thread.run_sync(proxy.nursery.start_soon, proxy.listener.drain, 10.0)


async def run(proxy: RunningProxy, talk: Callable[[FrameSocket], None]) -> None:
    """Let a client talk with the proxy, in a thread."""

    def run() -> None:
        with frame_socket(proxy.port) as client:
            talk(client)

    await trio.to_thread.run_sync(run)


async def test_requests_that_were_on_their_way_are_served_and_later_ones_never_begin(
    tmp_path: Path,
) -> None:
    def talk(client: FrameSocket) -> None:
        client.send_request(1)
        assert client.response(1).status == 200
        stop(proxy)
        ping = expect_announcement(client)
        client.send_request(3)
        assert client.response(3).status == 200
        answer(client, ping)
        client.send_request(5)
        expect_goaway(client, 3)
        expect_close(client)

    async with running(tls=write_pair(tmp_path)) as proxy:
        await run(proxy, talk)
        assert len(proxy.backend.heads) == 2


async def test_a_request_in_flight_gets_its_whole_response(tmp_path: Path) -> None:
    def talk(client: FrameSocket) -> None:
        client.send_request(1)
        trio.from_thread.run(proxy.until_backend_has, 1)
        stop(proxy)
        answer(client, expect_announcement(client))
        expect_goaway(client, 1)
        trio.from_thread.run_sync(may_respond.set)
        assert client.response(1).status == 200
        expect_close(client)

    async def responds_later(peer: Peer) -> None:
        await peer.until(b"\r\n\r\n")
        await may_respond.wait()
        await peer.send(OK)

    may_respond = trio.Event()
    async with running(responds_later, tls=write_pair(tmp_path)) as proxy:
        await run(proxy, talk)


async def test_a_client_that_does_not_answer_has_a_second(tmp_path: Path) -> None:
    def talk(client: FrameSocket) -> None:
        stop(proxy)
        expect_announcement(client)
        began = time.monotonic()
        expect_goaway(client, 0)
        assert time.monotonic() - began < 10
        client.send_request(1)  # It crosses that frame, and must not reset the connection.
        expect_close(client)

    async with running(tls=write_pair(tmp_path)) as proxy:
        await run(proxy, talk)
        assert proxy.backend.heads == []


async def test_new_connections_are_announced_to_be_the_last_while_the_proxy_stops(
    tmp_path: Path,
) -> None:
    def talk() -> None:
        with frame_socket(proxy.port, start=False) as client:
            client.start()
            client.send_request(1)
            expect_goaway(client, LAST_OF_ALL)
            assert client.response(1).status == 200

    async with running(tls=write_pair(tmp_path)) as proxy:
        await proxy.listener.finish(10)
        await trio.to_thread.run_sync(talk)


async def test_a_request_that_crosses_the_idle_timeout_is_refused_and_not_reset(
    tmp_path: Path,
) -> None:
    def talk(client: FrameSocket) -> None:
        client.send_request(1)
        assert client.response(1).status == 200
        expect_goaway(client, 1)
        client.send_request(3)
        expect_close(client)

    async with running(says(OK), tls=write_pair(tmp_path), idle_timeout=SHORT) as proxy:
        await run(proxy, talk)
        assert len(proxy.backend.heads) == 1


async def test_a_response_that_is_cut_by_the_end_of_the_proxy_does_not_look_whole(
    tmp_path: Path,
) -> None:
    def talk(client: FrameSocket) -> None:
        client.send_request(1)
        client.expect(FrameType.DATA, 1)
        trio.from_thread.run(proxy.listener.close)
        assert client.expect(FrameType.RST_STREAM, 1).error == ErrorCodes.INTERNAL_ERROR

    async def sends_a_part(peer: Peer) -> None:
        await peer.until(b"\r\n\r\n")
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await trio.sleep_forever()

    async with running(sends_a_part, tls=write_pair(tmp_path)) as proxy:
        await run(proxy, talk)
