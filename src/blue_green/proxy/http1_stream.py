"""A request on an HTTP/1.1 connection, which carries one at a time (see `ClientStream`)."""

import math
import socket

import trio

from blue_green.files.open_file import OpenFile
from blue_green.http.chunks import chunk, last_chunk
from blue_green.http.clock import date_line
from blue_green.http.heads import Fields, Framing
from blue_green.http.request import Request
from blue_green.http.response import Response, write_response
from blue_green.http.transport import Transport
from blue_green.proxy import cookies, hsts, shared_caches
from blue_green.proxy.client import Client
from blue_green.proxy.client_stream import Unsent
from blue_green.proxy.file_body import FileBody, until_ready
from blue_green.proxy.relay import Body, LengthBody, body_of
from blue_green.proxy.served_trial import ServedTrial
from blue_green.proxy.shared import Shared
from blue_green.proxy.splice import ReadAhead, SpliceSink, splice
from blue_green.routing.lease import Target

# Python 3.11 looks members of an enum up ten times as slowly as names of a module.
_NO_BODY, _LENGTH = Framing.NONE, Framing.LENGTH
WITHOUT_LENGTH = (Framing.CHUNKED, Framing.CLOSE)


class Http1Stream:
    """One request and its response; also how the bytes of both are framed on the connection."""

    status = 0
    sent = 0
    """Bytes of the response's body, or of both directions of a tunnel."""
    unsent = 0
    is_complete = False
    """The handler is done, and has sent a whole response."""
    held = 0.0
    target: Target | None = None
    file_revision = ""
    set_cookie = b""
    trial: ServedTrial | None = None
    is_admitted = False
    _body: Body | None = None
    """The request's body, once somebody reads it."""
    _has_taken_body = False
    _is_chunked = False
    """The response's body is sent in chunks."""

    def __init__(self, client: Client, request: Request, shared: Shared) -> None:
        self.client = client
        self.request = request
        self.request_id = shared.request_id(client.remote, request)
        self.keep_alive = request.keep_alive
        """Another request may follow on this connection."""
        self._transport = client.transport
        self._shared = shared

    # --- the request ---

    @property
    def has_whole_request(self) -> bool:
        if self._body is not None:
            return self._body.is_complete
        has_body = self.request.framing is Framing.CHUNKED or self.request.length > 0
        return self._has_taken_body or not has_body

    def has_body(self, limit: int) -> bool:
        request = self.request
        if request.framing is Framing.CHUNKED or request.length > limit:
            return False
        return self._transport.fill_buffer(request.length)

    def take_body(self, limit: int) -> bytes | None:
        if not self.has_body(limit):
            return None
        self._has_taken_body = True
        return self._transport.take(self.request.length)

    def body(self, limit: int) -> Body:
        framing = Framing.NONE if self._has_taken_body else self.request.framing
        self._body = body_of(self._transport, framing, self.request.length, limit)
        return self._body

    # --- the response ---

    async def send_interim(self, response: Response) -> None:
        if self.request.version == b"1.1":
            await self._transport.send(write_response(response))

    async def respond(self, response: Response, body: bytes) -> None:
        if rest := self.respond_now(response, body):
            await self.finish(rest)

    def respond_now(self, response: Response, body: bytes) -> Unsent:
        data = self._head(response, body)
        # The end of the connection follows at once, and goes in the same packet.
        rest = self._transport.send_now(data, 0 if self.keep_alive else socket.MSG_MORE)
        self.sent = len(body)
        self.unsent = len(rest)
        return rest

    async def start(self, response: Response, first: bytes = b"", *, more: bool = False) -> None:
        await self._finish_or_yield(self.start_now(response, first, more=more))

    def start_now(self, response: Response, first: bytes = b"", *, more: bool = False) -> Unsent:
        head = self._head(response)
        self.sent = len(first)
        data = head + (chunk(first) if first and self._is_chunked else first)
        return self._send_now(data, socket.MSG_MORE if more else 0)

    async def send(self, data: bytes | memoryview) -> None:
        await self._finish_or_yield(self.send_now(data))

    def send_now(self, data: bytes | memoryview) -> Unsent:
        self.sent += len(data)
        return self._send_now(chunk(bytes(data)) if self._is_chunked else data)

    async def send_from(self, body: LengthBody, ahead: ReadAhead) -> bool:
        if not self._transport.is_plain:
            return False
        return await splice(
            body, SpliceSink(self._transport, self._until_writable, self.count), ahead
        )

    async def finish(self, rest: Unsent, patience: float = math.inf) -> Unsent:
        with trio.move_on_after(patience):
            while rest:
                await self._until_writable()
                rest = self._transport.send_now(rest)
                self.unsent = len(rest)
        return rest

    async def send_file(self, file: OpenFile, offset: int, length: int) -> None:
        source = FileBody(file, offset, length)
        while source.left:
            await until_ready(source, self.client)
            if not self._transport.is_plain:
                await self.send(source.read())
            elif sent := source.send_now(self._transport):
                self.sent += sent
                await self._transport.maybe_checkpoint()
            else:
                await self._until_writable()

    async def end(self, trailers: Fields, *, close: bool = False) -> None:
        if self._is_chunked:
            await self._finish_or_yield(self._send_now(last_chunk(trailers)))
        if close:
            self.keep_alive = False

    async def upgrade(self, response: Response) -> Transport:
        self.status = response.status
        self.keep_alive = False
        self.client.begin_tunnel()
        lines = b"Connection: upgrade\r\nUpgrade: %b\r\n" % (response.upgrade or b"")
        await self._transport.send(write_response(response, lines))
        return self._transport

    def count(self, sent: int) -> None:
        self.sent += sent

    def reset(self) -> None:
        self.keep_alive = False
        self._transport.abort()

    @property
    def connection_lines(self) -> bytes:
        """The header lines that say whether another request may follow."""
        if not self.keep_alive:
            return b"Connection: close\r\n"
        return b"Connection: keep-alive\r\n" if self.request.version == b"1.0" else b""

    def check_keep_alive(self) -> bool:
        """Whether another request may follow, also by what the server is about to do."""
        shared = self._shared
        if (shared.closing or shared.closing_tls) and shared.is_last(self.client):
            self.keep_alive = False
        if self.request.framing is not _NO_BODY and not self.has_whole_request:
            self.keep_alive = False
        return self.keep_alive

    def _head(self, response: Response, body: bytes = b"") -> bytes:
        """Begin the final response: its head as bytes, and all of its body if that is known."""
        if self.is_admitted:
            response = shared_caches.rule_out(response)
        lines = b"" if response.has_date else date_line()
        site = self.client.site
        if site is not None and site.hsts:
            lines += hsts.lines_for(self.client, response.lines)
        if self.set_cookie:
            lines += cookies.lines_for(self.set_cookie, response)
        if response.framing is not _LENGTH and response.framing in WITHOUT_LENGTH:
            if self.request.version == b"1.1":
                self._is_chunked = True
                lines += b"Transfer-Encoding: chunked\r\n"
            else:
                self.keep_alive = False
        if not self.check_keep_alive() or self.request.version == b"1.0":
            lines += self.connection_lines
        self.status = response.status
        self.client.begin_response()
        return b"".join((response.start, lines, b"\r\n", body))

    def _send_now(self, data: bytes | memoryview, flags: int = 0) -> Unsent:
        rest = self._transport.send_now(data, flags)
        self.unsent = len(rest)
        return rest

    async def _finish_or_yield(self, rest: Unsent) -> None:
        """Send the rest, or have a checkpoint now and then."""
        if rest:
            await self.finish(rest)
        else:
            await self._transport.maybe_checkpoint()

    async def _until_writable(self) -> None:
        """Wait for a client that may be slow, but not silent for `idle_timeout`."""
        client = self.client
        client.await_client(self._shared.settings.idle_timeout)
        try:
            await trio.lowlevel.wait_writable(self._transport.sock)
        finally:
            client.stop_waiting()
            client.clear_timeout()
