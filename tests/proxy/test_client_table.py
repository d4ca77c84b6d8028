"""Which connection gives way to a new one when the limit of connections is reached."""

import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from ipaddress import ip_network

import pytest
import trio
import trio.testing

from blue_green.config.kinds import Count
from blue_green.http.transport import Transport
from blue_green.proxy.client import Client
from blue_green.proxy.client_table import LOOK_AGAIN, SAMPLE, ClientTable
from blue_green.proxy.end_reason import EndReason
from blue_green.proxy.remote import Remote, Trust
from tests.raw.backend import says, silence
from tests.raw.checks import check_good_request_follows, check_is_kept
from tests.raw.messages import GET, GOOD
from tests.raw.peer import Peer
from tests.raw.proxy import RunningProxy, running
from tests.raw.tls_client import write_pair
from tests.waiting import until

LARGE = b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n" + b"x" * 50_000_000
UPGRADE = GET.replace(b"\r\n\r\n", b"\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"


async def idle(proxy: RunningProxy) -> Peer:
    """Has asked for something, and may ask for more."""
    client = await proxy.ask(GOOD)
    assert (await client.answer()).status == 200
    return client


async def silent(proxy: RunningProxy) -> Peer:
    """Has connected, and never asked for anything."""
    client = await proxy.connect_plainly()
    await trio.testing.wait_all_tasks_blocked()
    return client


async def dripping(proxy: RunningProxy) -> Peer:
    """Is still sending its first head."""
    client = await silent(proxy)
    await client.send(GET[:10], GET[10:12], GET[12:13])
    await trio.testing.wait_all_tasks_blocked()
    return client


async def refused(proxy: RunningProxy) -> Peer:
    """Has got an error that ends its connection, and does not end its side."""
    client = await proxy.ask(b"GET\r\n\r\n")
    assert (await client.answer()).status == 400
    return client


async def uploading(proxy: RunningProxy) -> Peer:
    """Has sent half of its request's body."""
    client = await proxy.ask(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 900000\r\n\r\n12345")
    await proxy.until_backend_has(1)
    await trio.testing.wait_all_tasks_blocked()
    return client


async def downloading(proxy: RunningProxy) -> Peer:
    """Takes nothing of a large answer."""
    client = await proxy.connect()
    client.small_buffers()
    await client.send(GET)
    await client.until(b"\r\n\r\n")
    await trio.testing.wait_all_tasks_blocked(0.1)
    return client


Kind = Callable[[RunningProxy], Awaitable[Peer]]


async def check_gave_way(client: Peer) -> None:
    """It was closed, and got no error."""
    assert b"HTTP/1.1" not in await client.end()


async def check_is_taken_at_once(proxy: RunningProxy) -> Peer:
    began = time.monotonic()
    client = await idle(proxy)
    assert time.monotonic() - began < 5  # And not the shortest timeout, which is 10.
    return client


@pytest.mark.parametrize("first", [idle, silent, dripping, refused])
async def test_the_connection_that_was_idle_longest_gives_way(first: Kind) -> None:
    async with running(max_connections=3) as proxy:
        oldest = await first(proxy)
        others = [await idle(proxy) for _ in range(2)]
        await check_is_kept(others[0])
        new = await check_is_taken_at_once(proxy)
        await check_gave_way(oldest)
        for client in (*others, new):
            await check_is_kept(client)


@pytest.mark.parametrize("kind", [uploading, downloading])
async def test_a_client_that_is_slow_gives_way_when_none_is_silent(kind: Kind) -> None:
    async with running(says(LARGE), max_connections=2, buffer_requests=0) as proxy:
        slow = await kind(proxy)
        silent_one = await idle(proxy)
        new = await check_is_taken_at_once(proxy)
        await check_gave_way(silent_one)
        await new.send(GET.replace(b"/", b"/held", 1))
        await new.until(b"\r\n\r\n")
        await check_is_taken_at_once(proxy)
        assert await slow.count() < len(LARGE)


@pytest.mark.parametrize("what", [GET, UPGRADE], ids=["a request", "a tunnel"])
async def test_a_connection_with_a_request_in_flight_does_not_give_way(what: bytes) -> None:
    script = silence if what is GET else says(SWITCHING)
    async with running(script, max_connections=2) as proxy:
        busy = [await proxy.ask(what) for _ in range(2)]
        await proxy.until_backend_has(2)
        if what is UPGRADE:
            for client in busy:
                await client.until(b"\r\n\r\n")
        new = await proxy.ask(GOOD)
        await trio.sleep(4 * LOOK_AGAIN)
        assert all(client.has_nothing() for client in (*busy, new))
        await busy[0].reset()
        assert (await new.answer()).status == 200
        assert busy[1].has_nothing()


async def test_a_request_that_is_held_does_not_give_way() -> None:
    async with running(max_connections=1) as proxy:
        proxy.gate.hold("test")
        held = await proxy.ask(GET)
        await until("it is held", lambda: proxy.gate.held == 1)
        new = await proxy.ask(GOOD)
        await trio.sleep(4 * LOOK_AGAIN)
        assert held.has_nothing()
        assert new.has_nothing()
        proxy.gate.resume("test")
        assert (await held.answer()).status == 200
        assert (await new.answer()).status == 200


async def test_a_raised_limit_admits_waiting_connections() -> None:
    async with running(silence, max_connections=1) as proxy:
        await proxy.ask(GET)
        await proxy.until_backend_has(1)
        second = await proxy.ask(GOOD)
        await trio.sleep(2 * LOOK_AGAIN)
        assert second.has_nothing()
        proxy.use(max_connections=Count(2))
        assert (await second.answer()).status == 200


async def test_an_address_with_many_connections_gives_way_first() -> None:
    """Its own are as good as new, and another's was silent for longest."""
    async with running(max_connections=20) as proxy:
        oldest = await idle(proxy)
        hoarded = [await _from(proxy, "127.0.0.2") for _ in range(19)]
        new = [await _from(proxy, f"127.0.1.{number}") for number in range(17)]
        for client in (oldest, *new):
            await check_is_kept(client)
        for client in hoarded[:17]:
            await check_gave_way(client)
        for client in hoarded[17:]:  # Two are no more than its share.
            await check_is_kept(client)


async def test_a_request_in_transit_is_not_lost_when_its_connection_is_chosen() -> None:
    """The newest thing that a client did was to ask, only we have not looked yet."""
    async with running(max_connections=2) as proxy:
        for _ in range(20):
            clients = [await idle(proxy) for _ in range(2)]
            for client in clients:
                _send_now(client, GOOD)
            clients.append(_connect_now(proxy))
            _send_now(clients[-1], GOOD)
            for client in clients:
                assert (await client.answer()).status == 200
                await client.close()


@pytest.mark.parametrize("places", [5, 400])
async def test_idle_connections_on_all_places_keep_no_new_client_out(places: int) -> None:
    async with running(max_connections=places) as proxy:
        hoarded = [await proxy.connect_plainly() for _ in range(places)]
        await trio.testing.wait_all_tasks_blocked()
        for _ in range(30):
            await check_good_request_follows(proxy)
        closed = [not client.has_nothing() for client in hoarded]
        assert sum(closed) == min(places, 30)
        # All that gave way in the end were among those that waited for longest.
        assert places < SAMPLE or not any(closed[-places // 10 :])


async def test_clients_that_never_finish_a_handshake_keep_no_new_client_out(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    tls = write_pair(tmp_path_factory.mktemp("tls"))
    async with running(max_connections=3, tls=tls) as proxy:
        hoarded = [await silent(proxy) for _ in range(3)]
        for client in hoarded[:2]:
            await client.send(b"\x16\x03\x01\x02\x00\x01")
        for _ in range(3):
            await check_is_taken_at_once(proxy)
        for client in hoarded:
            await check_gave_way(client)


async def test_evicted_connections_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with running(max_connections=1) as proxy:
        for _ in range(3):
            await check_is_taken_at_once(proxy)
    (warning,) = [text for text in caplog.messages if "connections are in use" in text]
    assert warning.startswith("all 1 connections are in use: idle and slow ones are closed")


async def _from(proxy: RunningProxy, address: str) -> Peer:
    """An idle connection from this address."""
    stream = await trio.open_tcp_stream("127.0.0.1", proxy.port, local_address=address)
    proxy.clients.append(Peer(stream))
    await proxy.clients[-1].send(GOOD)
    assert (await proxy.clients[-1].answer()).status == 200
    return proxy.clients[-1]


def _connect_now(proxy: RunningProxy) -> Peer:
    sock = socket.create_connection(("127.0.0.1", proxy.port))
    proxy.clients.append(Peer(trio.SocketStream(trio.socket.from_stdlib_socket(sock))))
    return proxy.clients[-1]


def _send_now(client: Peer, data: bytes) -> None:
    assert isinstance(client.stream, trio.SocketStream)
    with socket.socket(fileno=socket.dup(client.stream.socket.fileno())) as twin:
        twin.sendall(data)


@pytest.fixture
def make_waiting() -> Iterator[Callable[..., Client]]:
    """Makes a client that has been waited for since then, and whose connection is open."""
    with ExitStack() as stack:

        def make(address: str, since: float, *trusted: str) -> Client:
            ours, _ = (stack.enter_context(sock) for sock in socket.socketpair())
            proxies = tuple(ip_network(one) for one in trusted)
            client = Client(Transport(ours), Remote(address, trust=Trust(proxies)))
            client.await_request(timeout=60)
            client.awaited_since = since
            return client

        yield make


async def test_a_connection_that_is_closing_is_not_evicted_again(
    make_waiting: Callable[..., Client],
) -> None:
    clients = ClientTable()
    oldest, other = make_waiting("192.0.2.1", 1.0), make_waiting("192.0.2.2", 2.0)
    for client in (oldest, other):
        clients.add(client)
    clients.make_room(2)
    assert (oldest.ended_by, other.ended_by) == (EndReason.EVICTED, None)
    clients.make_room(2)
    assert other.ended_by is not None, "that the first one is not gone yet keeps nobody out"


@pytest.mark.parametrize(
    ("address", "trusted", "gives_way"),
    [("192.0.2.1", (), True), ("192.0.2.1", ("192.0.2.0/24",), False), ("", (), False)],
    ids=["anybody", "a trusted proxy", "a Unix socket"],
)
async def test_a_trusted_proxy_may_have_many_connections(
    make_waiting: Callable[..., Client], address: str, trusted: tuple[str, ...], gives_way: bool
) -> None:
    clients = ClientTable()
    other = make_waiting("203.0.113.1", 1.0)
    for client in (other, *(make_waiting(address, 2.0, *trusted) for _ in range(4))):
        clients.add(client)
    clients.make_room(30)
    assert (other.ended_by is None) is gives_way
