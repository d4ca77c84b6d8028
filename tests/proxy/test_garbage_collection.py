"""A finished request leaves nothing that only the garbage collector can free.

Otherwise the collector would run every few hundred requests, and visit every object each time.
"""

import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
import trustme
from h2.stream import H2Stream

from blue_green.http.handshake import Handshake
from blue_green.http.tls import TlsTransport
from blue_green.http2.judge import Judge
from blue_green.http2.session import Session
from blue_green.proxy.client import Client
from blue_green.proxy.exchange import Exchange
from blue_green.proxy.http2.connection import Http2Connection
from blue_green.proxy.http2.stream import Http2Stream
from blue_green.routing.lease import Lease
from tests.proxy.http2.frame_peer import connect, data, reset
from tests.raw.backend import Script, says
from tests.raw.messages import GET, OK, POST
from tests.raw.proxy import running
from tests.raw.tls_client import write_pair
from tests.waiting import until

COUNT = 20
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"


@contextmanager
def uncollected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("raw", "script"),
    [
        pytest.param(GET, says(OK), id="small"),
        pytest.param(GET, says(CHUNKED), id="in chunks"),
        pytest.param(POST + b"hello", says(OK), id="an upload"),
    ],
)
async def test_an_answered_request_leaves_no_reference_cycles(raw: bytes, script: Script) -> None:
    async with running(script) as proxy:
        client = await proxy.ask(raw)
        await client.answer()
        with uncollected():
            for _ in range(COUNT):
                await client.send(raw)
                await client.answer()
            await proxy.until_drained()
            for kind in (Exchange, Lease):
                left = sum(isinstance(thing, kind) for thing in gc.get_objects())
                assert left <= 1, f"{left} of {kind.__name__}"


@pytest.mark.parametrize("kind", ["ECDSA", "RSA"])
async def test_a_finished_connection_over_tls_leaves_no_reference_cycles(
    tmp_path: Path, kind: str
) -> None:
    tls = write_pair(tmp_path, key_type=trustme.KeyType[kind])
    async with running(says(OK), tls=tls) as proxy:
        with uncollected():
            for _ in range(COUNT):
                client = await proxy.ask(GET)
                await client.answer()
                await client.close()
            await until("all have ended", lambda: proxy.listener.connections == 0)
            left = sum(isinstance(thing, TlsTransport | Handshake) for thing in gc.get_objects())
            assert left <= 4  # What the last connection used may still be referred to.


OVER_HTTP2 = (Http2Connection, Http2Stream, Session, Judge, H2Stream, TlsTransport, Client)


@pytest.mark.parametrize("end", ["response", "reset", "end of the connection"])
async def test_a_stream_and_its_connection_leave_no_reference_cycles(
    tmp_path: Path, end: str
) -> None:
    async with running(says(OK), tls=write_pair(tmp_path)) as proxy:
        with uncollected():
            for _ in range(COUNT):
                peer = await connect(proxy)
                await peer.send(peer.post(1), data(1, b"hello", end=end == "response"))
                if end == "response":
                    await peer.response(1)
                else:
                    await peer.check_alive()
                if end == "reset":
                    await peer.send(reset(1))
                    await peer.check_alive()
                await trio.aclose_forcefully(peer.stream)
            await until("all have ended", lambda: proxy.listener.connections == 0)
            await proxy.until_drained()
            left = Counter(
                type(thing).__name__ for thing in gc.get_objects() if isinstance(thing, OVER_HTTP2)
            )
            assert max(left.values(), default=0) <= 2, left
