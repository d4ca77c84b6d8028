"""Tunnels: after a 101, bytes go both ways unchanged until both sides have ended."""

import pytest
import trio
import trio.testing

from blue_green.routing.lease import cut
from blue_green.site.draining import drain
from tests.raw.bodies import MOST_MEMORY, Pouring, checksum, take_body
from tests.raw.checks import (
    check_good_request_follows,
    check_is_closed,
    descriptors,
    until_descriptors_are,
)
from tests.raw.peer import Peer
from tests.raw.proxy import running
from tests.raw.tunnels import FRAMES, echoes, opened, switches
from tests.waiting import until


async def test_a_tunnel_relays_bytes_both_ways_unchanged() -> None:
    async with running(switches(echoes)) as proxy:
        client = await opened(proxy)
        for _ in range(3):
            await client.send(FRAMES)
            assert await client.exactly(len(FRAMES)) == FRAMES
        await client.end_sending()
        await check_is_closed(client)
        [head] = proxy.backend.heads
        assert b"\r\nConnection: upgrade\r\n" in head
        assert b"\r\nUpgrade: websocket\r\n" in head
        assert b"\r\nSec-WebSocket-Key: k\r\n" in head
        await proxy.until_drained()
        await check_good_request_follows(proxy)


async def test_early_bytes_are_kept_in_both_directions() -> None:
    async with running(switches(echoes, early=b"early " + FRAMES)) as proxy:
        client = await opened(proxy, early=FRAMES)
        assert await client.exactly(6 + 2 * len(FRAMES)) == b"early " + FRAMES * 2
        await check_good_request_follows(proxy)


async def test_the_client_may_end_its_half_and_still_receive() -> None:
    async def answers_after_the_end(peer: Peer) -> None:
        said.append(await peer.end())
        await peer.send(b"after the end")

    said: list[bytes] = []
    async with running(switches(answers_after_the_end)) as proxy:
        client = await opened(proxy)
        await client.send(b"hello")
        await client.end_sending()
        assert await client.exactly(13) == b"after the end"
        await check_is_closed(client)
        assert said == [b"hello"]
        await proxy.until_drained()
        await check_good_request_follows(proxy)


async def test_the_backend_may_end_its_half_and_still_receives_everything() -> None:
    """Also when the proxy has done its part while the kernel still holds much of what was sent."""

    async def reads_late(peer: Peer) -> None:
        peer.small_buffers()
        await peer.send(b"bye")
        await peer.end_sending()
        await late.wait()
        counts.append(await peer.count())
        assert not peer.was_reset

    late, counts = trio.Event(), list[int]()
    async with running(switches(reads_late)) as proxy:
        client = await opened(proxy)
        assert await client.end() == b"bye"
        await client.send(b"x" * 1_000_000)
        await client.end_sending()
        await trio.testing.wait_all_tasks_blocked(0.2)
        late.set()
        await until("the backend's count", lambda: counts)
        assert counts == [1_000_000]
        await check_good_request_follows(proxy)


async def test_100_mb_go_each_way_at_once_with_flat_memory() -> None:
    async def pours_and_takes(peer: Peer) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(down.to, peer)
            sums.append(await take_body(peer, "close", 100))

    down, up, sums = Pouring("close", 100), Pouring("close", 100), list[int]()
    async with running(switches(pours_and_takes)) as proxy:
        client = await opened(proxy)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(up.to, client)
            sums.append(await take_body(client, "close", 100))
        await until("both sums", lambda: len(sums) == 2)
        assert sums == [checksum(100), checksum(100)]
        assert max(down.grown, up.grown) < MOST_MEMORY
        await check_good_request_follows(proxy)


@pytest.mark.parametrize("who", ["client", "backend"])
async def test_a_reset_of_one_side_ends_the_other(who: str) -> None:
    async def script(peer: Peer) -> None:
        if who == "backend":
            await peer.exactly(2)
            await peer.reset()
        else:
            await peer.end()

    async with running(switches(script)) as proxy:
        client = await opened(proxy)
        await client.send(b"go")
        if who == "client":
            await client.reset()
            await proxy.backend.connections[0].gone.wait()
        else:
            assert await client.end() == b""
        await proxy.until_drained()
        await check_good_request_follows(proxy)


async def test_a_tunnel_does_not_count_as_a_request_and_ends_after_stream_timeout() -> None:
    async with running(switches(echoes)) as proxy:
        client = await opened(proxy)
        assert await drain([proxy.target], timeout=5) == 0
        [lease] = proxy.target.leases
        assert lease.is_stream
        assert cut([lease]) == 1
        assert await client.end() == b""
        await proxy.backend.connections[0].gone.wait()
        await proxy.until_drained()
        assert proxy.gate.tally.cut == 1
        await check_good_request_follows(proxy)


async def test_a_tunnel_outlives_silence() -> None:
    async with running(switches(echoes), idle_timeout=0.1, response_timeout=0.1) as proxy:
        client = await opened(proxy)
        await trio.sleep(0.5)  # Longer than anything else may be silent.
        await client.send(b"hello")
        assert await client.exactly(5) == b"hello"


async def test_ended_tunnels_leave_no_descriptors_behind() -> None:
    async with running(switches(echoes)) as proxy:
        await check_good_request_follows(proxy)
        before = descriptors()
        clients = [await opened(proxy) for _ in range(20)]
        for number, client in enumerate(clients):
            await (client.reset() if number % 2 else client.close())
        await proxy.until_drained()
        await until_descriptors_are(before)
