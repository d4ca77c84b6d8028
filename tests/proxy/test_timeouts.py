"""Timeouts: clients that drip, stall or do not read, and backends that do not respond."""

from typing import Any

import pytest
import trio
import trio.testing

from blue_green.config.kinds import Period
from tests.raw.backend import Script, says, silence
from tests.raw.checks import check_good_request_follows, check_is_closed, check_is_kept
from tests.raw.messages import CHUNKED, GET, OK, POST
from tests.raw.peer import Peer
from tests.raw.proxy import SHORT, RunningProxy, running
from tests.waiting import until


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([GET[:1]], id="one byte"),
        pytest.param([GET[:-2]], id="nearly all of it"),
        pytest.param([b"\r\n", GET[:9]], id="an empty line first"),
    ],
)
async def test_a_late_request_head_is_answered_with_408(pieces: list[bytes]) -> None:
    async with running(header_timeout=SHORT) as proxy:
        client = await proxy.ask(*pieces)
        assert (await client.answer()).status == 408
        await check_is_closed(client)
        assert proxy.backend.connections == []
        await check_good_request_follows(proxy)


async def test_a_shorter_timeout_applies_to_new_connections() -> None:
    async with running(header_timeout=600.0, idle_timeout=600.0, response_timeout=600.0) as proxy:
        proxy.use(header_timeout=Period(SHORT))
        client = await proxy.ask(GET[:1])
        assert (await client.answer()).status == 408


@pytest.mark.parametrize("drop", [b"G", b"\r\n"], ids=["of a head", "of empty lines"])
async def test_a_dripping_client_gets_no_extra_time(drop: bytes) -> None:
    async def drip() -> None:
        while True:
            await client.stream.send_all(drop)
            await trio.sleep(SHORT / 10)

    async with running(header_timeout=SHORT) as proxy:
        client = await proxy.connect()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(drip)
            ended = await client.end()
            nursery.cancel_scope.cancel()
        assert ended == b"" or ended.startswith((b"HTTP/1.1 408 ", b"HTTP/1.1 400 "))
        await check_good_request_follows(proxy)


@pytest.mark.parametrize("served", [False, True], ids=["before a request", "after one"])
async def test_a_silent_connection_is_closed_without_a_response(served: bool) -> None:
    limits: dict[str, Any] = {"idle_timeout" if served else "header_timeout": SHORT}
    async with running(**limits) as proxy:
        client = await proxy.connect()
        if served:
            await check_is_kept(client)
        await check_is_closed(client)
        await check_good_request_follows(proxy)


async def test_a_thousand_idle_connections_do_not_delay_others() -> None:
    async with running() as proxy:
        for _ in range(1000):
            await proxy.connect()
        await check_good_request_follows(proxy)


STALLING = {
    "length, nothing": [POST],
    "length, a part": [POST + b"hel"],
    "chunked, nothing": [CHUNKED],
    "chunked, half a size": [CHUNKED + b"5"],
    "chunked, half a chunk": [CHUNKED + b"5\r\nhel"],
    "chunked, no last chunk": [CHUNKED, b"5\r\nhello\r\n"],
}


@pytest.mark.parametrize("pieces", STALLING.values(), ids=STALLING)
async def test_a_body_that_stalls_ends_the_backends_request(pieces: list[bytes]) -> None:
    async with running(idle_timeout=SHORT, buffer_requests=0) as proxy:
        client = await proxy.ask(*pieces)
        assert (await client.answer()).status == 408
        await check_is_closed(client)
        await _check_was_aborted(proxy)


@pytest.mark.parametrize("how", ["close", "reset", "end_sending"])
@pytest.mark.parametrize("pieces", STALLING.values(), ids=STALLING)
async def test_an_aborted_body_ends_the_backends_request(pieces: list[bytes], how: str) -> None:
    async with running(buffer_requests=0) as proxy:
        client = await proxy.ask(*pieces)
        await until("a lease", lambda: proxy.target.leases)
        await getattr(client, how)()
        await _check_was_aborted(proxy)


async def _check_was_aborted(proxy: RunningProxy) -> None:
    await proxy.until_drained()
    for connection in proxy.backend.connections:
        await connection.gone.wait()
    assert proxy.backend.requests == []
    assert proxy.gate.tally.failed == 0
    await check_good_request_follows(proxy)


@pytest.mark.parametrize("raw", [GET, POST + b"hello"], ids=["GET", "POST"])
@pytest.mark.parametrize("script", [silence, says(b"HTTP/1.1 20")], ids=["nothing", "half a head"])
async def test_a_response_that_does_not_begin_in_time_is_a_504(raw: bytes, script: Script) -> None:
    async with running(script, response_timeout=SHORT) as proxy:
        client = await proxy.ask(raw)
        assert (await client.answer()).status == 504
        await proxy.until_drained()
        assert len(proxy.backend.heads) == 1
        await proxy.backend.connections[0].gone.wait()
        assert proxy.gate.tally.failed == 1
        await check_good_request_follows(proxy)


async def test_a_response_may_pause_for_longer_than_response_timeout() -> None:
    async def script(peer: Peer) -> None:
        await says(OK[:-1])(peer)
        await trio.sleep(2 * SHORT)
        await peer.send(OK[-1:])

    async with running(script, response_timeout=SHORT, idle_timeout=SHORT) as proxy:
        client = await proxy.ask(GET)
        assert (await client.answer()).body == b"ok"
        await check_is_kept(client)


async def test_a_client_that_does_not_read_is_disconnected() -> None:
    size = 30_000_000
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size
    async with running(says(answer), idle_timeout=SHORT) as proxy:
        client = await proxy.ask(GET)
        await proxy.until_backend_has(1)
        await proxy.until_drained()
        await proxy.backend.connections[0].gone.wait()
        assert await client.count() < size
        assert client.was_reset
        await check_good_request_follows(proxy)
