"""What the proxy counts for a release."""

import pytest
import trio

from blue_green.routing import lease
from blue_green.routing.results import Counts
from tests.raw.backend import Script, drops, says
from tests.raw.messages import GET, OK
from tests.raw.peer import Peer
from tests.raw.proxy import SHORT, running
from tests.raw.tunnels import echoes, opened, switches

ERROR = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
LAST_GET = GET[:-2] + b"Connection: close\r\n\r\n"
MISSING = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
SHORTENED = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 100


@pytest.mark.parametrize("bound", [0, 2**20])
@pytest.mark.parametrize("gives_up", [True, False])
async def test_an_app_that_gives_up_on_a_slow_reader_has_not_failed(
    bound: int, gives_up: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 90000000\r\n\r\n")
        with trio.move_on_after(3 * SHORT if gives_up else 0):
            await peer.send(bytes(80_000_000))
        await peer.close()

    monkeypatch.setattr(lease, "LONG_WAIT", SHORT)
    async with running(script, buffer_responses=bound) as proxy:
        client = await proxy.connect()
        client.small_buffers()
        await client.send(LAST_GET)
        await trio.sleep(4 * SHORT)
        await client.end()
        await proxy.until_drained()
        assert proxy.target.results.counts == Counts(1, 0 if gives_up else 1)
        assert proxy.gate.tally.failed == (0 if gives_up else 1)


@pytest.mark.parametrize("gives_up", [True, False])
async def test_an_app_that_gives_up_on_a_slow_upload_has_not_failed(
    gives_up: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(peer: Peer) -> None:
        await peer.until(b"\r\n\r\n")
        await trio.sleep(2 * SHORT if gives_up else 0)
        await peer.close()

    monkeypatch.setattr(lease, "LONG_WAIT", SHORT)
    async with running(script, buffer_requests=0) as proxy:
        head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\nConnection: close\r\n\r\n"
        client = await proxy.ask(head + b"1")
        await client.end()
        await proxy.until_drained()
        assert proxy.target.results.counts.failed == (0 if gives_up else 1)


async def never(peer: Peer) -> None:
    await peer.request()
    await trio.sleep_forever()


@pytest.mark.parametrize(
    ("script", "counts"),
    [
        pytest.param(says(OK), Counts(1, 0), id="a response"),
        pytest.param(says(ERROR), Counts(1, 1), id="500"),
        pytest.param(says(MISSING), Counts(0, 0), id="404"),
        pytest.param(drops, Counts(1, 1), id="no response, after a retry"),
        pytest.param(never, Counts(1, 1), id="no response in time"),
        pytest.param(says(SHORTENED, close=True), Counts(1, 1), id="half a response"),
    ],
)
async def test_each_request_counts_for_its_release(script: Script, counts: Counts) -> None:
    async with running(script, response_timeout=SHORT) as proxy:
        await (await proxy.ask(LAST_GET)).end()
        await proxy.until_drained()
        assert proxy.target.results.counts == counts


async def test_a_response_time_ends_with_the_head_of_the_response() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await trio.sleep(0.1)
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nx")
        await trio.sleep(0.3)
        await peer.send(b"y")

    async with running(script) as proxy:
        assert (await (await proxy.ask(GET)).answer()).status == 200
        times = proxy.target.results.times
        assert 0.1 <= times.total < 0.4
        assert 0.08 < (times.quantile(0.5) or 0) < 0.4


async def test_an_event_stream_that_begins_late_does_not_count_as_slow() -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await trio.sleep(0.1)
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: a\n\n")
        await peer.close()

    async with running(script) as proxy:
        await (await proxy.ask(LAST_GET)).end()
        await proxy.until_drained()
        results = proxy.target.results
        assert (results.counts, sum(results.times.counts)) == (Counts(1, 0), 0)


async def test_a_tunnel_counts_as_a_response_without_a_time() -> None:
    async with running(switches(echoes)) as proxy:
        await opened(proxy)
        results = proxy.target.results
        assert (results.counts, sum(results.times.counts)) == (Counts(1, 0), 0)
