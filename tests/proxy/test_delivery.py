"""A client that reads slowly keeps no backend busy, and gets everything all the same."""

import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing

from blue_green.config.process_settings import ProxySettings
from blue_green.http.heads import Framing
from blue_green.proxy import delivery
from blue_green.proxy.buffer_space import BufferSpace
from blue_green.proxy.relay import LengthBody
from blue_green.proxy.splice import ReadAhead
from tests.raw.backend import silence
from tests.raw.bodies import MB, MOST_MEMORY, Pouring, block, checksum, take_body
from tests.raw.checks import check_is_kept
from tests.raw.messages import GET
from tests.raw.peer import Peer
from tests.raw.proxy import RunningProxy, running
from tests.waiting import until

LARGE = 40
"""MB: more than all buffers on the way hold."""
SIZE = 16
"""MB: more than the buffers of the kernel and of memory hold."""
FRAMINGS = ["length", "chunked", "close"]


async def slow_client(proxy: RunningProxy) -> Peer:
    """A client that has read the head of the response, and reads nothing else by itself."""
    client = await proxy.connect()
    client.small_buffers()
    await client.send(GET)
    return client


async def read_all(client: Peer, size: int = SIZE) -> int:
    """Read the response; its checksum."""
    head = await client.until(b"\r\n\r\n")
    given = "length" if b"content-length" in head.lower() else "chunked"
    return await take_body(client, given, size)


def is_empty(proxy: RunningProxy) -> bool:
    return not proxy.site.buffered.memory and not proxy.site.buffered.disk


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_the_backend_is_free_before_a_slow_client_has_read(framing: str) -> None:
    pouring = Pouring(framing, SIZE)
    async with running(pouring.answer()) as proxy:
        client = await slow_client(proxy)
        await proxy.until_backend_has(1)
        await proxy.until_drained()
        assert pouring.sent == SIZE
        assert pouring.grown < MOST_MEMORY
        assert proxy.site.buffered.disk > 0
        assert proxy.site.buffered.responses == 1
        assert await read_all(client) == checksum(SIZE)
        await check_is_kept(client)
        await until("nothing is left", lambda: is_empty(proxy))


@pytest.mark.long
@pytest.mark.parametrize("framing", FRAMINGS)
async def test_a_slow_client_gets_a_gigabyte_with_flat_memory(framing: str) -> None:
    pouring = Pouring(framing, 1024)
    async with running(pouring.answer()) as proxy:
        client = await slow_client(proxy)
        await proxy.until_backend_has(1)
        assert await read_all(client, 1024) == checksum(1024)
        assert pouring.grown < MOST_MEMORY


async def test_a_page_that_has_arrived_frees_the_backend_at_once() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body), body)

    body = bytes(range(256)) * 1024 * 2
    async with running(script) as proxy:
        clients = [await slow_client(proxy) for _ in range(20)]
        await proxy.until_backend_has(len(clients))
        await proxy.until_drained()
        assert not proxy.site.buffered.disk
        for client in clients:
            assert (await client.answer()).body == body
        await until("nothing is left", lambda: is_empty(proxy))


async def test_a_response_over_the_bound_arrives_whole_while_its_backend_waits() -> None:
    pouring = Pouring("chunked", LARGE)
    async with running(pouring.answer(), buffer_responses=4 * MB) as proxy:
        client = await slow_client(proxy)
        await until("it is buffered", lambda: proxy.site.buffered.disk > 2 * MB)
        await trio.testing.wait_all_tasks_blocked(0.1)
        assert proxy.site.buffered.disk <= 4 * MB
        assert proxy.target.in_flight == 1
        assert await read_all(client, LARGE) == checksum(LARGE)
        await check_is_kept(client)


@pytest.mark.parametrize(
    "limits",
    [
        pytest.param({"buffer_responses": 0}, id="switched off"),
        pytest.param({"buffer_memory": 0, "buffer_disk": 0}, id="no room"),
        pytest.param({"buffer_memory": 64 * 1024, "buffer_disk": 0}, id="hardly any room"),
        pytest.param({"buffer_disk": 0}, id="no disk"),
        pytest.param({"buffer_directory": "/nonexistent"}, id="no directory"),
    ],
)
@pytest.mark.parametrize("framing", FRAMINGS[:2])
async def test_without_room_the_backend_waits_and_the_client_gets_everything(
    framing: str, limits: dict[str, Any]
) -> None:
    pouring = Pouring(framing, LARGE)
    async with running(pouring.answer(), **limits) as proxy:
        client = await slow_client(proxy)
        await proxy.until_backend_has(1)
        await trio.testing.wait_all_tasks_blocked(0.1)
        assert pouring.sent < LARGE
        assert await read_all(client, LARGE) == checksum(LARGE)
        await check_is_kept(client)
        await until("nothing is left", lambda: is_empty(proxy))


async def test_a_fast_client_sees_no_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "PATIENCE", 10.0)  # On a busy machine no client is fast.
    async with running(Pouring("length", LARGE).answer()) as proxy:
        client = await proxy.ask(GET)
        assert await read_all(client, LARGE) == checksum(LARGE)
        assert proxy.site.buffered.responses <= 1  # The last bytes, after the backend is done.
        assert not proxy.site.buffered.disk


@pytest.mark.parametrize("head", [b"X-Accel-Buffering: no", b"Content-Type: text/event-stream"])
async def test_what_must_not_be_buffered_keeps_its_backend(head: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n%b\r\n\r\n" % head)
        await pouring.to(peer)

    pouring = Pouring("chunked", LARGE)
    async with running(script) as proxy:
        client = await proxy.connect()
        client.small_buffers()
        await client.send(GET.replace(b"GET", b"REPORT"))
        received = await client.until(b"\r\n\r\n")
        assert head.lower() in received.lower()
        await trio.testing.wait_all_tasks_blocked(0.1)
        assert pouring.sent < LARGE
        assert proxy.site.buffered.responses == 0
        assert await take_body(client, "chunked", LARGE) == checksum(LARGE)


@pytest.mark.parametrize("framing", FRAMINGS[:2])
async def test_a_client_gets_what_came_of_a_response_that_breaks_off(framing: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        line = b"Transfer-Encoding: chunked\r\n\r\n%x" % (8 * MB)
        if framing == "length":
            line = b"Content-Length: %d\r\n" % (8 * MB)
        await peer.send(b"HTTP/1.1 200 OK\r\n%b\r\n" % line, bytes(8 * MB - 1))
        await peer.close()

    async with running(script) as proxy:
        client = await slow_client(proxy)
        await proxy.until_backend_has(1)
        await proxy.until_drained()
        await client.until(b"\r\n\r\n")
        got = await client.end()
        assert MB < len(got) < 9 * MB
        assert not got.endswith(b"0\r\n\r\n")
        assert proxy.gate.tally.failed == 1
        await until("nothing is left", lambda: is_empty(proxy))


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_client_that_leaves_frees_its_backend_and_its_buffer(how: str) -> None:
    pouring = Pouring("chunked", 200)
    async with running(pouring.answer(), buffer_responses=4 * MB) as proxy:
        client = await slow_client(proxy)
        await until("it is buffered", lambda: proxy.site.buffered.disk > 2 * MB)
        await getattr(client, how)()
        await proxy.until_drained()
        await until("nothing is left", lambda: is_empty(proxy))


async def test_a_connection_to_the_backend_is_used_again_while_its_response_is_delivered() -> None:
    async with running(Pouring("length", SIZE).answer()) as proxy:
        slow = await slow_client(proxy)
        await proxy.until_backend_has(1)
        await proxy.until_drained()
        other = await proxy.ask(GET)
        assert await read_all(other) == checksum(SIZE)
        assert len(proxy.backend.connections) == 1
        assert await read_all(slow) == checksum(SIZE)


async def test_a_buffered_response_survives_its_backend() -> None:
    async with running(Pouring("length", SIZE).answer()) as proxy:
        slow = await slow_client(proxy)
        await proxy.until_backend_has(1)
        await proxy.until_drained()
        proxy.gate.switch([])
        for connection in proxy.backend.connections:
            await trio.aclose_forcefully(connection.stream)
        assert await read_all(slow) == checksum(SIZE)


async def test_a_trickling_response_reaches_a_client_that_has_caught_up_piece_by_piece() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(SIZE):
            await peer.send(block("chunked"))
        for number in range(20):
            await peer.send(b"3\r\n%03d\r\n" % number)
            await read.receive()
        await peer.send(b"0\r\n\r\n")

    was_read, read = trio.open_memory_channel[None](0)
    async with running(script) as proxy:
        client = await slow_client(proxy)
        await until("it is buffered", lambda: proxy.site.buffered.disk > 0)
        await client.until(b"\r\n\r\n")
        data = bytearray()
        while len(data) < SIZE * MB + 3 * 20:
            data += await client.exactly(int(await client.until(b"\r\n"), 16))
            assert await client.exactly(2) == b"\r\n"
            if len(data) > SIZE * MB:
                with trio.fail_after(10):
                    await was_read.send(None)
        assert await client.exactly(5) == b"0\r\n\r\n"
        assert zlib.crc32(data[: SIZE * MB]) == checksum(SIZE)
    was_read.close()
    read.close()


async def test_an_unresponsive_client_is_disconnected_after_idle_timeout() -> None:
    async with running(Pouring("length", SIZE).answer(), idle_timeout=0.3) as proxy:
        await slow_client(proxy)
        await proxy.until_backend_has(1)
        await until("it is gone", lambda: not proxy.listener.connections)
        await until("nothing is left", lambda: is_empty(proxy))


async def test_a_backend_that_sends_nothing_is_not_released() -> None:
    async with running(silence) as proxy:
        await proxy.ask(GET)
        await proxy.until_backend_has(1)
        assert proxy.target.in_flight == 1


class PausingStream:
    """Stands for a `ClientStream` whose client takes 2 MB at once, and then pauses for a while."""

    sent = 0

    def start_now(self, *_: object) -> bytes:
        return b""

    async def send_from(self, body: LengthBody, ahead: ReadAhead) -> bool:
        before = ahead.patience(0)
        for _ in range(20):
            await self._pause(ahead, 0.1)
            assert ahead.patience(0) == pytest.approx(before)
        await self._pause(ahead, 2)
        assert ahead.patience(0) == 0
        body.left = 0
        return True

    async def _pause(self, ahead: ReadAhead, seconds: float) -> None:
        self.sent += 2 * MB
        began = trio.current_time()
        await trio.sleep(seconds)
        ahead.note(began)

    async def end(self, _: object) -> None: ...


async def test_a_client_that_pauses_often_and_takes_much_in_between_is_fast(
    autojump_clock: trio.testing.MockClock, tmp_path: Path
) -> None:
    transport = SimpleNamespace(take=lambda _: b"")
    head = {"lines": b"", "is_event_stream": False, "framing": Framing.LENGTH, "length": 100 * MB}
    site = SimpleNamespace(limits=SimpleNamespace(buffer_responses=1024 * MB))
    space = BufferSpace(ProxySettings(), tmp_path)
    lease = SimpleNamespace(client_waits=0.0)
    parts: Any = (PausingStream(), transport, SimpleNamespace(**head), site, space, lease, print)
    await delivery.Delivery(*parts).run()
    assert lease.client_waits == pytest.approx(4)
