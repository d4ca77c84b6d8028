"""The limit of connections, of which each request over HTTP/2 takes one, too."""

from pathlib import Path

import trio
from h2.errors import ErrorCodes

from blue_green.config.kinds import Count
from tests.raw.backend import silence
from tests.raw.messages import OK
from tests.raw.peer import Peer
from tests.raw.proxy import running
from tests.raw.sites import Plan, running_sites
from tests.raw.tls_client import write_pair
from tests.support.http2_frames import FrameType
from tests.support.http2_wire import FrameSocket, frame_socket, request_fields

LARGE = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + bytes(100_000)
"""More than a window."""


async def by_target(peer: Peer) -> None:
    """Respond with more than a window, later, or at once."""
    while True:
        head = await peer.until(b"\r\n\r\n")
        if head.startswith(b"GET /never"):
            await trio.sleep_forever()
        await peer.send(LARGE if head.startswith(b"GET /large") else OK)


async def test_a_connection_is_not_evicted_for_its_own_request(tmp_path: Path) -> None:
    """Even if it has been idle for longest."""

    def talk() -> None:
        with frame_socket(proxy.port) as oldest, frame_socket(proxy.port) as other:
            other.check_alive()
            oldest.send_request(1)
            assert oldest.response(1).status == 200
            other.expect_end(ErrorCodes.NO_ERROR)

    async with running(tls=write_pair(tmp_path), max_connections=Count(2)) as proxy:
        await trio.to_thread.run_sync(talk)


async def test_a_slow_stream_is_evicted_and_its_neighbours_go_on(tmp_path: Path) -> None:
    def talk() -> None:
        with frame_socket(proxy.port, values={4: 1000}) as client:
            client.send_request(1, "/never")
            trio.from_thread.run(proxy.until_backend_has, 1)
            client.send_request(3, "/large")
            assert client.expect(FrameType.DATA, 3).payload
            with frame_socket(proxy.port) as newcomer:
                newcomer.check_alive()
                client.expect_reset(3, ErrorCodes.INTERNAL_ERROR)
                client.reset(1)
                client.check_alive()
                newcomer.send_request(1)
                assert newcomer.response(1).status == 200

    tls = write_pair(tmp_path)
    async with running(by_target, tls=tls, max_connections=Count(3)) as proxy:
        await trio.to_thread.run_sync(talk)


async def test_a_site_gets_no_more_places_than_it_leaves_free(tmp_path: Path) -> None:
    plans = {"slow": Plan(("slow.org",), script=silence), "fast": Plan(("fast.org",))}

    def ask(client: FrameSocket, stream_id: int, host: str) -> None:
        client.send_headers(stream_id, request_fields("/", "GET", host))

    def talk() -> None:
        with frame_socket(sites.proxy.port) as client:
            for stream_id in range(1, 15, 2):
                ask(client, stream_id, "slow.org")
            refused = [client.expect(FrameType.HEADERS).stream_id for _ in range(2)]
            for stream_id in refused:
                assert b"Too many requests" in client.expect(FrameType.DATA, stream_id).payload
            assert sites["slow"].served.gate.requests == 5
            ask(client, 15, "fast.org")
            assert client.response(15).body == b"fast"

    async with running_sites(plans, tls=write_pair(tmp_path), max_connections=Count(9)) as sites:
        await trio.to_thread.run_sync(talk)
