"""A well-behaved HTTP/2 client for tests: many requests at once on one connection.

As RFC 9113 section 6.8 says, after GOAWAY it begins no more requests on that connection, awaits
the responses that were promised, and repeats all other requests on a new one. A request whose
stream was refused (section 8.7) is repeated, too. All else that keeps a request from its response
is a failure, which the request raises.
"""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from attrs import define, field

from tests.raw.tls_client import HOST, trusting
from tests.support.http2_user_agent_connection import ClientConnection, Unprocessed
from tests.support.http_client import Answer

MOST_REPEATS = 20
"""Of one request. A server that refuses it as often does not mean to serve it."""


@define(eq=False)
class Http2Client:
    """Sends requests, from as many tasks at once as there are."""

    port: int
    host: str
    server_name: str
    tls: ssl.SSLContext
    nursery: trio.Nursery
    connections: int = 0
    """How many connections it took."""
    repeated: int = 0
    """How many requests were repeated because the server had not processed them."""
    current: ClientConnection | None = None
    """The connection for new requests."""
    _connecting: trio.Lock = field(factory=trio.Lock)

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.request("GET", path, b"", **headers)

    async def post(self, path: str, body: bytes, **headers: str) -> Answer:
        return await self.request("POST", path, body, **headers)

    async def request(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        """Send a request and await its response; raise `RequestFailed`.

        Underscores in the names of header fields become hyphens; `Host` is the authority.
        """
        fields = {name.replace("_", "-").lower(): value for name, value in headers.items()}
        head = {
            ":method": method,
            ":scheme": "https",
            ":authority": fields.pop("host", self.server_name),
            ":path": path,
            **fields,
        }
        for _ in range(MOST_REPEATS):
            connection = await self._usable()
            try:
                return await connection.exchange(list(head.items()), body)
            except Unprocessed:
                self.repeated += 1
        raise AssertionError(f"{method} {path} was not processed in {MOST_REPEATS} attempts")

    async def _usable(self) -> ClientConnection:
        """A connection on which requests may begin."""
        async with self._connecting:
            if self.current is None or not self.current.is_open:
                self.current = await self._connect()
            return self.current

    async def _connect(self) -> ClientConnection:
        plain = await trio.open_tcp_stream(self.host, self.port)
        stream = trio.SSLStream(plain, self.tls, server_hostname=self.server_name)
        await stream.do_handshake()
        protocol = stream.selected_alpn_protocol()
        assert protocol == "h2", f"the server chose {protocol}"
        self.connections += 1
        connection = ClientConnection(stream)
        await self.nursery.start(connection.run)
        return connection


@asynccontextmanager
async def http2_client(
    port: int,
    host: str = "127.0.0.1",
    *,
    tls: ssl.SSLContext | None = None,
    server_name: str = HOST,
) -> AsyncIterator[Http2Client]:
    """A client until the block ends.

    It trusts the authority of the tests, or those in `tls`; the server must prove its name.
    """
    tls = tls or trusting()
    tls.set_alpn_protocols(["h2"])
    async with trio.open_nursery() as nursery:
        yield Http2Client(port, host, server_name, tls, nursery)
        nursery.cancel_scope.cancel()
