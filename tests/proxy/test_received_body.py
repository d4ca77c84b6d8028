"""A request gets a backend when its body is here, so that slow uploads keep none busy."""

import tracemalloc
from typing import Any

import pytest
import trio
import trio.testing

from blue_green.proxy import quiesce
from tests.raw.backend import says
from tests.raw.bodies import MB, MOST_MEMORY, Pouring, block, checksum, headed, last, take_body
from tests.raw.checks import check_good_request_follows, check_is_closed, check_is_kept
from tests.raw.messages import CHUNKED, OK, POST
from tests.raw.peer import Peer
from tests.raw.proxy import SHORT, RunningProxy, running
from tests.waiting import until

SIZE = 8
"""MB: more than what is kept in memory."""
FRAMINGS = ["length", "chunked"]
EXPECT = POST.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")


def is_empty(proxy: RunningProxy) -> bool:
    return not proxy.site.buffered.memory and not proxy.site.buffered.disk


@pytest.mark.parametrize("head", [POST, CHUNKED], ids=FRAMINGS)
async def test_a_body_that_drips_has_no_backend_until_it_is_complete(head: bytes) -> None:
    pieces = [b"h", b"e", b"l", b"l", b"o"]
    if head is CHUNKED:
        pieces = [b"1\r\n", b"h", b"\r\n4\r\n", b"ell", b"o\r\n", b"0\r\n", b"\r\n"]
    async with running() as proxy:
        client = await proxy.ask(head)
        for one in pieces:
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert not proxy.target.leases
            await client.send(one)
        assert (await client.answer()).status == 200
        [request] = proxy.backend.requests
        assert request.body == b"hello"
        assert request.field(b"content-length") == [b"5"]
        assert request.field(b"transfer-encoding") == []
        assert proxy.site.buffered.requests == 1
        await check_is_kept(client)
        assert is_empty(proxy)


async def test_a_body_that_comes_with_its_head_is_not_buffered() -> None:
    async with running() as proxy:
        client = await proxy.ask(POST + b"hello")
        assert (await client.answer()).status == 200
        assert proxy.site.buffered.requests == 0


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_a_large_body_is_kept_on_disk_until_it_is_complete(framing: str) -> None:
    async def script(peer: Peer) -> None:
        head = await peer.until(b"\r\n\r\n")
        assert b"Content-Length: %d\r\n" % (SIZE * MB) in head
        sums.append(await take_body(peer, "length", SIZE))
        await peer.send(OK)

    sums = list[int]()
    pouring = Pouring(framing, SIZE)
    async with running(script) as proxy:
        client = await proxy.ask(headed(b"POST / HTTP/1.1", framing, SIZE))
        for _ in range(SIZE - 1):
            await client.stream.send_all(block(framing))
        await until("it is on disk", lambda: proxy.site.buffered.disk > (SIZE - 2) * MB)
        assert not proxy.target.leases
        await client.stream.send_all(block(framing) + last(framing))
        assert (await client.answer()).status == 200
        assert sums == [checksum(SIZE)]
        assert pouring.grown < MOST_MEMORY
        await check_is_kept(client)
        await until("nothing is left", lambda: is_empty(proxy))


@pytest.mark.parametrize(
    "limits",
    [
        pytest.param({"buffer_requests": MB}, id="over the bound"),
        pytest.param({"buffer_requests": 1}, id="a tiny bound"),
        pytest.param({"buffer_memory": 0, "buffer_disk": 0}, id="no room"),
        pytest.param({"buffer_disk": 0}, id="no disk"),
        pytest.param({"buffer_disk": 4 * MB}, id="hardly any disk"),
        pytest.param({"buffer_directory": "/nonexistent"}, id="no directory"),
    ],
)
@pytest.mark.parametrize("framing", FRAMINGS)
async def test_what_has_no_room_is_sent_on_as_it_arrives(
    framing: str, limits: dict[str, Any]
) -> None:
    async def script(peer: Peer) -> None:
        head = await peer.until(b"\r\n\r\n")
        given = "length" if b"content-length" in head.lower() else "chunked"
        sums.append(await take_body(peer, given, SIZE))
        await peer.send(OK)

    sums = list[int]()
    async with running(script, **limits) as proxy:
        client = await proxy.ask(headed(b"POST / HTTP/1.1", framing, SIZE))
        for _ in range(SIZE - 1):
            await client.stream.send_all(block(framing))
        await proxy.until_backend_has(1)
        await client.stream.send_all(block(framing) + last(framing))
        assert (await client.answer()).status == 200
        assert sums == [checksum(SIZE)]
        await check_is_kept(client)
        await until("nothing is left", lambda: is_empty(proxy))


async def test_trailers_keep_a_body_chunked() -> None:
    async with running() as proxy:
        client = await proxy.ask(CHUNKED, b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n")
        assert (await client.answer()).status == 200
        [request] = proxy.backend.requests
        assert (request.body, request.trailers) == (b"hello", [(b"X-Sum", b"1")])


async def test_a_client_that_expects_100_continue_gets_it_from_us() -> None:
    async with running() as proxy:
        client = await proxy.ask(EXPECT)
        assert await client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert not proxy.target.leases
        await client.send(b"hello")
        assert (await client.answer()).body == b"ok"
        assert proxy.backend.requests[0].field(b"expect") == []


async def test_a_body_over_max_body_is_refused_before_it_is_asked_for() -> None:
    async with running(max_body=4) as proxy:
        client = await proxy.ask(EXPECT)
        answer = await client.answer()
        assert (answer.status, answer.interim) == (413, [])


@pytest.mark.parametrize(
    ("piece", "status"),
    [
        pytest.param(b"6\r\nhello!\r\n", 413, id="too large"),
        pytest.param(b"x\r\n", 400, id="malformed"),
    ],
)
async def test_a_bad_body_never_reaches_a_backend(piece: bytes, status: int) -> None:
    async with running(max_body=5) as proxy:
        client = await proxy.ask(CHUNKED)
        await client.send(piece)
        assert (await client.answer()).status == status
        await check_is_closed(client)
        assert proxy.backend.heads == []
        assert is_empty(proxy)


async def test_a_body_that_stalls_is_a_408() -> None:
    async with running(idle_timeout=SHORT) as proxy:
        client = await proxy.ask(POST + b"hel")
        assert (await client.answer()).status == 408
        assert proxy.backend.heads == []
        assert is_empty(proxy)


@pytest.mark.parametrize("how", ["close", "reset", "end_sending"])
async def test_a_client_that_leaves_before_its_body_is_complete_has_no_backend(how: str) -> None:
    async with running() as proxy:
        client = await proxy.ask(CHUNKED + b"5\r\nhe")
        await until("it is received", lambda: proxy.site.buffered.memory > 0)
        await getattr(client, how)()
        await until("it is gone", lambda: is_empty(proxy))
        assert proxy.backend.heads == []
        await check_good_request_follows(proxy)


async def test_a_body_is_received_while_its_request_is_held_and_sent_once() -> None:
    async with running() as proxy:
        proxy.gate.hold("test")
        client = await proxy.ask(POST)
        await client.send(b"hello")
        await until("it is held", lambda: proxy.gate.held == 1)
        proxy.gate.resume("test")
        assert (await client.answer()).status == 200
        assert [request.body for request in proxy.backend.requests] == [b"hello"]


@pytest.mark.parametrize("raw", [POST + b"hello", CHUNKED + b"5\r\nhello\r\n0\r\n\r\n"])
async def test_a_held_request_with_its_body_can_be_handed_over(raw: bytes) -> None:
    async with running() as proxy:
        proxy.gate.hold("test")
        client = await proxy.ask(raw[:-1])
        await trio.testing.wait_all_tasks_blocked(0.01)
        await client.send(raw[-1:])
        await until("it is held", lambda: proxy.gate.held == 1)
        async with proxy.listener.at_rest(5) as clients:
            [handed] = quiesce.hand_over(clients)
        assert handed.unread.encode("latin-1") == raw
        proxy.gate.resume("test")
        assert (await client.answer()).status == 200


async def test_a_held_request_with_its_body_on_disk_cannot_be_handed_over() -> None:
    async with running() as proxy:
        proxy.gate.hold("test")
        await Pouring("length", 2).to(await proxy.ask(headed(b"POST / HTTP/1.1", "length", 2)))
        await until("it is held", lambda: proxy.gate.held == 1)
        with pytest.raises(trio.TooSlowError):
            async with proxy.listener.at_rest(0.1):
                pass


@pytest.mark.long
@pytest.mark.parametrize("framing", FRAMINGS)
async def test_a_gigabyte_arrives_whole_with_flat_memory(framing: str) -> None:
    async def script(peer: Peer) -> None:
        head = await peer.until(b"\r\n\r\n")
        given = "length" if b"content-length" in head.lower() else "chunked"
        sums.append(await take_body(peer, given, 1024))
        await peer.send(OK)

    pouring, sums = Pouring(framing, 1024), list[int]()
    async with running(script) as proxy:
        client = await proxy.ask(headed(b"POST / HTTP/1.1", framing, 1024))
        await pouring.to(client)
        assert (await client.answer()).status == 200
        assert sums == [checksum(1024)]
        assert pouring.grown < MOST_MEMORY


async def test_a_body_that_the_backend_has_takes_no_memory_while_it_responds() -> None:
    async def script(peer: Peer) -> None:
        await peer.until(b"\r\n\r\n")
        taken.append(await peer.count(len(body)))
        peer.received.clear()
        await may_respond.wait()
        await peer.send(OK)

    count, body, taken, may_respond = 20, bytes(100_000), list[int](), trio.Event()
    head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with running(script) as proxy:
        tracemalloc.start()
        try:
            clients = [await proxy.ask(head, body) for _ in range(count)]
            await until("the backend has all of them", lambda: len(taken) == count)
            memory, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert memory < count * len(body) / 2
        may_respond.set()
        for client in clients:
            assert (await client.answer()).status == 200


async def test_a_request_that_will_be_refused_is_refused_before_its_body_is_here() -> None:
    async with running() as proxy:
        proxy.gate.switch([])
        proxy.gate.refuse("It is down.")
        client = await proxy.ask(POST)
        assert (await client.answer()).status == 503


async def test_a_buffered_request_is_not_sent_twice() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.close()

    async with running(script) as proxy:
        client = await proxy.ask(POST)
        await client.send(b"hello")
        assert (await client.answer()).status == 502
        assert len(proxy.backend.heads) == 1


async def test_a_buffered_request_is_sent_again_if_its_backend_could_not_be_dialled() -> None:
    async with running() as proxy:
        address = proxy.target.address
        proxy.target.address = type(address)("127.0.0.1", 1)
        client = await proxy.ask(POST)
        await client.send(b"hell")
        await trio.testing.wait_all_tasks_blocked(0.01)
        await client.send(b"o")
        await until("it has failed", lambda: proxy.gate.tally.retried > 0)
        proxy.target.address = address
        assert (await client.answer()).status == 200
        assert [request.body for request in proxy.backend.requests] == [b"hello"]


@pytest.mark.parametrize("method", [b"GET", b"DELETE"])
async def test_content_without_a_meaning_closes_the_connection_to_the_backend(
    method: bytes,
) -> None:
    async with running(says(OK)) as proxy:
        client = await proxy.ask(CHUNKED.replace(b"POST", method))
        await client.send(b"1\r\nx\r\n0\r\n\r\n")
        assert (await client.answer()).status == 200
        assert proxy.backend.requests[0].field(b"connection") == [b"close"]
