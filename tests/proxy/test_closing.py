"""Connections after their last response: closed at once, or lingering (RFC 9112 section 9.6)."""

import socket
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from tests.raw.backend import says
from tests.raw.checks import check_is_closed
from tests.raw.messages import OK
from tests.raw.peer import Peer
from tests.raw.proxy import RunningProxy, running
from tests.raw.tls_client import PemPair, write_pair
from tests.waiting import until

LAST = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
LAST_OF_1_0 = b"GET / HTTP/1.0\r\nHost: h\r\n\r\n"
LAST_UPLOAD = b"POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
IN_CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"


@pytest.fixture(params=["plain", "TLS"])
def tls(request: pytest.FixtureRequest, tmp_path: Path) -> PemPair | None:
    return write_pair(tmp_path) if request.param == "TLS" else None


def has_ended(proxy: RunningProxy) -> bool:
    return proxy.listener.connections == 0


@pytest.mark.parametrize("request_", [LAST, LAST_OF_1_0])
@pytest.mark.parametrize("response", [OK, IN_CHUNKS])
async def test_a_client_that_announced_to_send_no_more_is_not_waited_for(
    tls: PemPair | None, request_: bytes, response: bytes
) -> None:
    async with running(says(response), tls=tls) as proxy:
        client = await proxy.ask(request_)
        with trio.fail_after(0.9):  # A connection that lingers ends after a second.
            await until("the connection has ended", lambda: has_ended(proxy))
        assert (await client.answer()).body == b"ok"
        await check_is_closed(client)


async def test_a_client_that_sends_more_than_it_announced_can_read_its_response(
    tls: PemPair | None,
) -> None:
    async def waits(peer: Peer) -> None:
        await peer.until(b"\r\n\r\n")
        await go_on.wait()
        await peer.send(OK)

    go_on = trio.Event()
    async with running(waits, tls=tls) as proxy:
        client = await proxy.ask(LAST)
        await proxy.until_backend_has(1)
        await client.send(LAST)
        go_on.set()
        assert (await client.answer()).body == b"ok"
        await check_is_closed(client)
        assert not has_ended(proxy)


async def test_a_connection_lingers_after_an_upload(tls: PemPair | None) -> None:
    async with running(says(OK), tls=tls) as proxy:
        client = await proxy.ask(LAST_UPLOAD)
        assert (await client.answer()).body == b"ok"
        await check_is_closed(client)
        assert not has_ended(proxy)
        await client.close()
        await until("the connection has ended", lambda: has_ended(proxy))


@pytest.mark.parametrize("checkpoints", [1, 2] * 5)
async def test_a_client_that_is_accepted_while_the_listener_drains_is_served(
    checkpoints: int,
) -> None:
    """Whenever that is: also when it was accepted, and its task has not begun."""
    async with running() as proxy:
        await trio.testing.wait_all_tasks_blocked()
        with socket.create_connection(("127.0.0.1", proxy.port)) as sock:
            sock.sendall(LAST)
            for _ in range(checkpoints):
                await trio.lowlevel.checkpoint()
            assert await proxy.listener.drain(5) == 0
            proxy.gate.close("The server is stopping.")
            proxy.gate.switch(())
            await trio.testing.wait_all_tasks_blocked()
            sock.setblocking(False)
            with suppress(BlockingIOError, ConnectionResetError):  # It was not accepted.
                assert sock.recv(12) == b"HTTP/1.1 200"
