"""Requests that end before their response: the client disconnects, or the proxy stops."""

import socket
import struct

import pytest
import trio
import trio.testing

from blue_green.routing.lease import cut
from tests.raw.backend import says, silence
from tests.raw.checks import check_good_request_follows, descriptors, until_descriptors_are
from tests.raw.messages import CHUNKED, GET, OK, POST
from tests.raw.peer import Peer
from tests.raw.proxy import RunningProxy, running
from tests.waiting import until

HANG_UPS = ["close", "reset", "end_sending"]


@pytest.mark.parametrize("how", HANG_UPS)
@pytest.mark.parametrize("raw", [GET, POST, POST + b"hello"], ids=["GET", "no body yet", "POST"])
async def test_a_client_that_disconnects_while_held_is_never_sent_to_a_backend(
    raw: bytes, how: str
) -> None:
    async with running(buffer_requests=0) as proxy:
        proxy.gate.hold("test")
        client = await proxy.ask(raw)
        await until("it is held", lambda: proxy.gate.held == 1)
        await getattr(client, how)()
        await until("nothing is held", lambda: proxy.gate.held == 0)
        proxy.gate.resume("test")
        await check_good_request_follows(proxy)
        assert proxy.backend.heads == []


@pytest.mark.parametrize("how", HANG_UPS)
@pytest.mark.parametrize("raw", [GET, POST + b"hello"], ids=["GET", "POST"])
@pytest.mark.parametrize("begun", [False, True], ids=["before the answer", "in the answer"])
async def test_a_client_that_disconnects_in_flight_ends_the_backends_request(
    raw: bytes, how: str, begun: bool
) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        if begun:
            await peer.send(OK[:-1])
        await silence(peer)

    async with running(script) as proxy:
        client = await proxy.ask(raw)
        await until("the whole request", lambda: proxy.backend.requests)
        if begun:
            await client.until(b"\r\n\r\no")
        await getattr(client, how)()
        await _check_was_ended(proxy)
        assert proxy.gate.tally.failed == 0


async def _check_was_ended(proxy: RunningProxy) -> None:
    await proxy.backend.connections[0].gone.wait()
    await proxy.until_drained()
    await check_good_request_follows(proxy)


@pytest.mark.parametrize("begun", [False, True], ids=["before the answer", "in the answer"])
async def test_an_aborted_request_gets_an_error_or_a_broken_connection(begun: bool) -> None:
    async def script(peer: Peer) -> None:
        if begun:
            await peer.send(OK[:-1])
        await silence(peer)

    async with running(script, buffer_requests=0) as proxy:
        client = await proxy.ask(POST)
        if begun:
            await client.until(b"\r\n\r\no")
            await client.send(b"h")
        await proxy.until_backend_has(1)
        await trio.testing.wait_all_tasks_blocked()
        assert cut(proxy.target.leases) == 1
        if begun:
            assert await client.end() == b""
            assert client.was_reset
        else:
            assert (await client.answer()).status == 502
        await _check_was_ended(proxy)
        assert proxy.gate.tally.cut == 1


async def test_a_stop_does_not_wait_for_a_connection_whose_last_response_was_sent() -> None:
    async def script(peer: Peer) -> None:
        await says(OK[:-1])(peer)
        await draining.wait()
        await peer.send(OK[-1:])

    draining = trio.Event()
    async with running(script) as proxy:
        client = await proxy.ask(GET)
        await client.until(b"\r\n\r\no")
        draining.set()
        assert await proxy.listener.drain(5) == 0
        assert await client.end() == b"k"


async def test_a_stop_does_not_wait_for_a_connection_whose_request_was_refused() -> None:
    async def refuse() -> None:
        await until("the end has begun", lambda: proxy.listener.is_draining)
        proxy.gate.close("It stops.")

    async with running() as proxy:
        proxy.gate.switch([])
        client = await proxy.ask(GET)
        await until("it is held", lambda: proxy.gate.held == 1)
        proxy.nursery.start_soon(refuse)
        assert await proxy.listener.drain(5) == 0
        assert (await client.answer()).status == 503


async def test_a_client_that_connected_just_before_a_stop_may_still_send_a_request() -> None:
    async with running(says(OK)) as proxy:
        new, silent = await proxy.ask(b""), await proxy.ask(b"")
        await until("both are there", lambda: proxy.listener.connections == 2)

        async def ask() -> None:
            await until("the end has begun", lambda: proxy.listener.is_draining)
            await new.send(GET)
            assert (await new.answer()).status == 200

        proxy.nursery.start_soon(ask)
        assert await proxy.listener.drain(5) == 0
        assert await silent.end() == b""


async def test_aborted_requests_leave_no_descriptors_behind() -> None:
    async with running(silence, buffer_requests=0) as proxy:
        await check_good_request_follows(proxy)
        before = descriptors()
        clients = [await proxy.ask(CHUNKED + b"5\r\nhe" if n % 2 else GET) for n in range(30)]
        await proxy.until_backend_has(30)
        for number, client in enumerate(clients):
            await (client.reset() if number % 3 else client.close())
        await proxy.until_drained()
        await until_descriptors_are(before)


@pytest.mark.parametrize("resets", [False, True])
async def test_a_client_that_disconnects_before_accept_is_no_request(resets: bool) -> None:
    """They may be thousands, and those who wait behind them are there still."""
    linger = struct.pack("ii", resets, 0)
    async with running() as proxy:
        for _ in range(100):  # Without a checkpoint: the proxy does not get to accept them.
            with socket.create_connection(("127.0.0.1", proxy.port)) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                client.sendall(GET)
        await check_good_request_follows(proxy)
        assert proxy.backend.heads == []
