"""Bodies of any size are relayed as they arrive, with flat memory, at the receiver's pace."""

import pytest
import trio
import trio.testing

from tests.raw.backend import says
from tests.raw.bodies import (
    IN_KERNEL,
    MOST_MEMORY,
    Pouring,
    checksum,
    headed,
    last,
    piece,
    take_body,
)
from tests.raw.checks import check_good_request_follows, check_is_closed, check_is_kept
from tests.raw.peer import Peer
from tests.raw.proxy import running

SIZES = [
    pytest.param(64, id="MB"),
    pytest.param(1024, id="GB", marks=pytest.mark.long),
]
FRAMINGS = ["length", "chunked", "close"]


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("size", SIZES)
async def test_a_large_download_arrives_whole_with_flat_memory(framing: str, size: int) -> None:
    pouring = Pouring(framing, size)
    async with running(pouring.answer()) as proxy:
        client = await proxy.ask(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        head = await client.until(b"\r\n\r\n")
        # An answer that ends with its connection is framed by us for a client of 1.1.
        given = "length" if b"content-length" in head.lower() else "chunked"
        assert await take_body(client, given, size) == checksum(size)
        assert pouring.grown < MOST_MEMORY
        await check_is_kept(client)
        await check_good_request_follows(proxy)


@pytest.mark.parametrize("framing", FRAMINGS[:2])
@pytest.mark.parametrize("size", SIZES)
async def test_a_large_upload_arrives_whole_with_flat_memory(framing: str, size: int) -> None:
    async def script(peer: Peer) -> None:
        await peer.until(b"\r\n\r\n")
        sums.append(await take_body(peer, framing, size))
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    pouring, sums = Pouring(framing, size), list[int]()
    async with running(script, buffer_requests=0) as proxy:
        client = await proxy.ask(headed(b"POST / HTTP/1.1", framing, size))
        await pouring.to(client)
        assert (await client.answer()).status == 200
        assert sums == [checksum(size)]
        assert pouring.grown < MOST_MEMORY
        await check_is_kept(client)
        await check_good_request_follows(proxy)


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_a_client_that_does_not_read_stops_the_backend(framing: str) -> None:
    pouring = Pouring(framing, 64)
    async with running(pouring.answer(), buffer_responses=0) as proxy:
        client = await proxy.ask(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        client.small_buffers()
        head = await client.until(b"\r\n\r\n")
        await trio.testing.wait_all_tasks_blocked(0.3)
        assert pouring.sent < IN_KERNEL
        assert pouring.grown < MOST_MEMORY
        await check_good_request_follows(proxy)
        given = "length" if b"content-length" in head.lower() else "chunked"
        assert await take_body(client, given, 64) == checksum(64)
        await check_is_kept(client)


@pytest.mark.parametrize("framing", FRAMINGS[:2])
async def test_a_backend_that_does_not_read_stops_the_client(framing: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.until(b"\r\n\r\n")
        await reads.wait()
        sums.append(await take_body(peer, framing, 64))
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    pouring, sums, reads = Pouring(framing, 64), list[int](), trio.Event()
    async with running(script, buffer_requests=0) as proxy:
        client = await proxy.ask(headed(b"POST / HTTP/1.1", framing, 64))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pouring.to, client)
            await trio.testing.wait_all_tasks_blocked(0.3)
            assert pouring.sent < IN_KERNEL
            assert pouring.grown < MOST_MEMORY
            await check_good_request_follows(proxy)
            reads.set()
            assert (await client.answer()).status == 200
        assert sums == [checksum(64)]
        await check_is_kept(client)


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
async def test_pieces_of_a_response_are_relayed_one_by_one(framing: str, version: bytes) -> None:
    """The backend says the next thing only when the client has read the last."""

    async def script(peer: Peer) -> None:
        await peer.request()
        length = b"Content-Length: %d\r\n" % (20 * len(piece(0, "")))
        head = headed(b"HTTP/1.1 200 OK", framing, 0)
        await peer.send(head.replace(b"Content-Length: 0\r\n", length))
        for number in range(20):
            await heard.receive()
            await peer.send(piece(number, framing))
        await heard.receive()
        await peer.send(last(framing))
        if framing == "close":
            await peer.close()

    hear, heard = trio.open_memory_channel[None](1)
    async with running(script) as proxy:
        client = await proxy.ask(b"GET / HTTP/%b\r\nHost: h\r\n\r\n" % version)
        head = await client.until(b"\r\n\r\n")
        given = "chunked" if b"chunked" in head else "plain"
        assert given == ("chunked" if version == b"1.1" and framing != "length" else "plain")
        for number in range(20):
            await hear.send(None)
            expected = piece(number, given)
            assert await client.exactly(len(expected)) == expected
        await hear.send(None)
        assert await client.exactly(len(last(given))) == last(given)
        if version == b"1.0":
            await check_is_closed(client)
        await check_good_request_follows(proxy)
    hear.close()
    heard.close()


@pytest.mark.parametrize("framing", FRAMINGS[:2])
async def test_pieces_of_a_request_are_relayed_one_by_one(framing: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.until(b"\r\n\r\n")
        for number in range(20):
            expected = piece(number, framing)
            assert await peer.exactly(len(expected)) == expected
            await hear.send(None)
        assert await peer.exactly(len(last(framing))) == last(framing)
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    hear, heard = trio.open_memory_channel[None](1)
    async with running(script, buffer_requests=0) as proxy:
        length = b"Content-Length: %d\r\n" % (20 * len(piece(0, "")))
        head = headed(b"POST / HTTP/1.1", framing, 0)
        client = await proxy.ask(head.replace(b"Content-Length: 0\r\n", length))
        for number in range(20):
            await client.send(piece(number, framing))
            with trio.fail_after(10):
                await heard.receive()
        await client.send(last(framing))
        assert (await client.answer()).status == 200
        await check_is_kept(client)
        await check_good_request_follows(proxy)
    hear.close()
    heard.close()


async def test_a_head_does_not_wait_for_its_body() -> None:
    """Not even if the first bytes of a chunk came along, which say nothing yet."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(headed(b"HTTP/1.1 200 OK", "chunked", 0) + b"5\r\n")
        await head_came.wait()
        await peer.send(b"right\r\n0\r\n\r\n")

    head_came = trio.Event()
    async with running(script) as proxy:
        client = await proxy.ask(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        await client.next_head()
        head_came.set()
        assert (await client.answer()).body == b"right"


async def test_a_flood_of_tiny_chunks_does_not_stop_other_requests() -> None:
    """One connection's bytes, however finely cut, are never all that the loop has to do."""
    flood = b"1\r\nx\r\n" * 300_000 + b"0\r\n\r\n"
    async with running(says(headed(b"HTTP/1.1 200 OK", "chunked", 0) + flood)) as proxy:
        client = await proxy.ask(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        await client.until(b"\r\n\r\n")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.count, 300_000)
            await check_good_request_follows(proxy)
            assert proxy.target.leases, "the flood was over before another had its turn"
