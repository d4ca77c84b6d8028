"""A tiny HTTP/2 server, for tests of the clients: it answers in the loop of the test."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import trio
from attrs import define, field
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, RequestReceived, StreamEnded

from tests.raw.tls_client import HOST, authority
from tests.support.http2_frames import FrameType, frame


@define(eq=False)
class TinyServer:
    """Answers each request with its path and the length of its body."""

    port: int = 0
    goaway_after: int = 0
    """Sends GOAWAY after so many requests of each connection, and processes no more."""
    refuses: set[str] = field(factory=set)
    """Paths of requests that are refused, once each."""
    resets: set[str] = field(factory=set)
    """Paths of requests that are reset."""
    breaks: set[str] = field(factory=set)
    """Paths of requests at which the connection ends."""
    served: list[str] = field(factory=list)

    async def serve(self, stream: trio.SSLStream[trio.SocketStream]) -> None:
        """Serve a connection until the client ends it."""
        h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        h2.initiate_connection()
        paths: dict[int, str] = {}
        lengths: dict[int, int] = {}
        async with stream:
            await stream.send_all(h2.data_to_send())
            while data := await stream.receive_some(64 * 1024):
                for event in h2.receive_data(data):
                    if isinstance(event, RequestReceived):
                        fields = {str(name): str(value) for name, value in event.headers or ()}
                        paths[event.stream_id or 0] = fields[":path"]
                    elif isinstance(event, DataReceived):
                        stream_id, size = event.stream_id or 0, event.flow_controlled_length or 0
                        lengths[stream_id] = lengths.get(stream_id, 0) + len(event.data or b"")
                        h2.acknowledge_received_data(size, stream_id)
                    elif isinstance(event, StreamEnded) and self._processes(event.stream_id or 0):
                        stream_id = event.stream_id or 0
                        self._answer(h2, stream_id, paths[stream_id], lengths.get(stream_id, 0))
                if self.breaks.intersection(paths.values()):
                    return
                out = h2.data_to_send()
                if self.goaway_after and len(paths) >= self.goaway_after:
                    last = 2 * self.goaway_after - 1
                    out = frame(FrameType.GOAWAY, 0, last.to_bytes(4) + bytes(4)) + out
                await stream.send_all(out)

    def _processes(self, stream_id: int) -> bool:
        return not self.goaway_after or stream_id < 2 * self.goaway_after

    def _answer(self, h2: H2Connection, stream_id: int, path: str, length: int) -> None:
        if path in self.refuses:
            self.refuses.remove(path)
            h2.reset_stream(stream_id, ErrorCodes.REFUSED_STREAM)
        elif path in self.resets:
            h2.reset_stream(stream_id, ErrorCodes.INTERNAL_ERROR)
        else:
            self.served.append(path)
            h2.send_headers(stream_id, [(":status", "200"), ("server", "tiny")])
            h2.send_data(stream_id, f"{path} {length}".encode(), end_stream=True)


@asynccontextmanager
async def tiny_server() -> AsyncIterator[TinyServer]:
    """The server until the block ends, with a certificate of the tests' authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert(HOST).configure_cert(context)
    context.set_alpn_protocols(["h2"])
    server = TinyServer()

    async def accept(plain: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError):  # The client has closed without close_notify.
            await server.serve(trio.SSLStream(plain, context, server_side=True))

    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        server.port = listener.socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, accept, [listener])
        yield server
        nursery.cancel_scope.cancel()
