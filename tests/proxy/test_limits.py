"""How much: of a head, of a body, of connections, and of requests that are held."""

import socket

import pytest
import trio
import trio.testing

from blue_green.proxy.errors import Pages
from blue_green.settings import Count, Hold, Period, Proxy
from tests.proxy.harness import (
    CHUNKED,
    GET,
    GOOD,
    POST,
    SHORT,
    Peer,
    Running,
    check_good_request_follows,
    check_is_closed,
    check_is_kept,
    running,
)
from tests.site import until


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        pytest.param(POST + b"hello", 200, id="declared, just not too large"),
        pytest.param(POST.replace(b"5", b"6") + b"hello!", 413, id="declared"),
        pytest.param(CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", 200, id="chunked, just not too large"),
        pytest.param(CHUNKED + b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", 413, id="chunked"),
    ],
)
async def test_a_body_over_max_body_is_refused(raw: bytes, status: int) -> None:
    async with running(max_body=5) as proxy:
        client = await proxy.ask(raw)
        assert (await client.answer()).status == status
        assert len(proxy.backend.requests) == (status == 200)
        await (check_is_kept if status == 200 else check_is_closed)(client)
        await check_good_request_follows(proxy)


async def test_a_declared_body_that_is_too_large_reaches_nobody() -> None:
    async with running(max_body=4) as proxy:
        assert (await (await proxy.ask(POST)).answer()).status == 413
        assert proxy.backend.connections == []


@pytest.mark.parametrize("at_once", [False, True], ids=["one by one", "all at once"])
async def test_connections_over_the_limit_wait_for_a_place(at_once: bool) -> None:
    async with running(max_connections=2) as proxy:
        if at_once:  # All are there before the proxy gets to see the first.
            clients = [_connected_at_once(proxy) for _ in range(5)]
        else:
            clients = [await proxy.connect() for _ in range(5)]
        for client in clients:
            await client.send(GOOD)
        await trio.testing.wait_all_tasks_blocked(0.1)
        assert sum(client.has_nothing() for client in clients) == 3
        for client in clients:
            assert (await client.answer()).status == 200
            await client.close()
        await check_good_request_follows(proxy)


async def test_a_raised_limit_lets_those_in_who_wait_for_a_place() -> None:
    async with running(max_connections=1) as proxy:
        first, second = [await proxy.ask(GOOD) for _ in range(2)]
        assert (await first.answer()).status == 200
        await trio.testing.wait_all_tasks_blocked(0.1)
        assert second.has_nothing()
        proxy.listener.use(Proxy(access_log=False, max_connections=Count(2)), Pages())
        assert (await second.answer()).status == 200


def _connected_at_once(proxy: Running) -> Peer:
    sock = socket.create_connection(("127.0.0.1", proxy.port))
    proxy.clients.append(Peer(trio.SocketStream(trio.socket.from_stdlib_socket(sock))))
    return proxy.clients[-1]


async def test_held_requests_go_on_in_order_when_the_gate_opens() -> None:
    # One at a time, since the order in which a backend looks at connections is its own affair.
    async with running(hold=Hold(ramp=Count(1))) as proxy:
        proxy.gate.hold("test")
        clients = []
        for number in range(5):
            clients.append(await proxy.ask(GET.replace(b"/", b"/%d" % number, 1)))
            await until("another is held", lambda n=number: proxy.gate.held == n + 1)
        assert proxy.backend.connections == []
        proxy.gate.resume("test")
        for client in clients:
            assert (await client.answer()).status == 200
            await check_is_kept(client)
        lines = [head.partition(b" HTTP")[0] for head in proxy.backend.heads]
        assert lines == [b"GET /%d" % number for number in range(5)]


async def test_one_more_than_the_limit_is_refused_at_once() -> None:
    async with running(hold=Hold(limit=Count(1))) as proxy:
        proxy.gate.hold("test")
        first = await proxy.ask(GET)
        await until("one is held", lambda: proxy.gate.held == 1)
        second = await proxy.ask(GET)
        await _check_is_unavailable(second)
        proxy.gate.resume("test")
        assert (await first.answer()).status == 200
        await check_is_kept(second)


async def test_a_request_that_was_held_too_long_is_refused() -> None:
    async with running(hold=Hold(timeout=Period(SHORT))) as proxy:
        proxy.gate.hold("test")
        client = await proxy.ask(GET)
        await _check_is_unavailable(client)
        assert proxy.gate.held == 0
        proxy.gate.resume("test")
        await check_is_kept(client)
        assert proxy.backend.heads == []


async def _check_is_unavailable(client: Peer) -> None:
    answer = await client.answer()
    assert answer.status == 503
    [seconds] = answer.field(b"retry-after")
    assert int(seconds) >= 1


async def test_the_body_of_a_held_request_stays_with_the_client() -> None:
    async with running() as proxy:
        proxy.gate.hold("test")
        client = await proxy.ask(POST.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
        await until("it is held", lambda: proxy.gate.held == 1)
        await trio.testing.wait_all_tasks_blocked(0.1)
        assert client.has_nothing()
        proxy.gate.resume("test")
        await proxy.until_backend_has(1)
        await client.send(b"hello")
        assert (await client.answer()).status == 200
        assert proxy.backend.requests[0].body == b"hello"
