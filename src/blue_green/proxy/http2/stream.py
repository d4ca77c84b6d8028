"""A request on an HTTP/2 connection, which carries many at a time (see `ClientStream`)."""

import logging
import math

import trio
from attrs import evolve

from blue_green.files.open_file import OpenFile
from blue_green.http.clock import date_line
from blue_green.http.errors import ErrorResponse
from blue_green.http.heads import Fields, Framing, joined
from blue_green.http.response import Response
from blue_green.http2.events import (
    DataArrived,
    RequestBegun,
    RequestEnded,
    RequestMalformed,
    StreamReset,
    WindowOpened,
)
from blue_green.http2.response_heads import response_fields, trailer_fields
from blue_green.http2.session import ErrorCodes, Session
from blue_green.http2.websocket_keys import accept_for
from blue_green.proxy import cookies, hsts, shared_caches
from blue_green.proxy.client import Client
from blue_green.proxy.client_stream import Unsent
from blue_green.proxy.end_reason import EndReason
from blue_green.proxy.file_body import FileBody, until_ready
from blue_green.proxy.http2.body import StreamBody
from blue_green.proxy.http2.frame_writer import FrameWriter
from blue_green.proxy.http2.tunnel import StreamTunnel
from blue_green.proxy.http2.unread import UnreadBytes
from blue_green.proxy.relay import LengthBody
from blue_green.proxy.served_trial import ServedTrial
from blue_green.proxy.shared import Shared
from blue_green.proxy.splice import ReadAhead
from blue_green.routing.lease import Target

logger = logging.getLogger(__name__)

# Python 3.11 looks members of an enum up ten times as slowly as names of a module.
_NO_BODY, _LENGTH = Framing.NONE, Framing.LENGTH
NOT_SWITCHED = ErrorResponse(502, "The backend did not open the WebSocket.")

StreamEvent = DataArrived | RequestEnded | RequestMalformed | StreamReset | WindowOpened
STREAM_EVENTS = (DataArrived, RequestEnded, RequestMalformed, StreamReset, WindowOpened)


class Http2Stream:
    """One request and its response."""

    status = 0
    sent = 0
    unsent = 0
    is_complete = False
    """The handler is done, and has sent a whole response."""
    held = 0.0
    target: Target | None = None
    file_revision = ""
    set_cookie = b""
    trial: ServedTrial | None = None
    is_admitted = False
    fault = ""
    """What is malformed about the rest of the request."""
    _length = -1
    """Bytes of the response's body, if that is known beforehand."""
    _has_ended = False
    """The last frame of the response has been sent, or will be with the last byte."""
    _is_tunnel = False

    def __init__(
        self,
        event: RequestBegun,
        client: Client,
        shared: Shared,
        writer: FrameWriter,
        session: Session,
        *,
        unread: UnreadBytes,
    ) -> None:
        self.stream_id = event.stream_id
        self.client = client
        self.request = request = event.request
        self.request_id = shared.request_id(client.remote, request)
        has_ended = request.framing is _NO_BODY and not request.upgrade
        length = request.length if request.framing is _LENGTH else -1
        self.received = StreamBody(self._credit, length=length, has_ended=has_ended)
        self._shared = shared
        self._writer = writer
        self._session = session
        self._unread = unread
        self._window: trio.Event | None = None
        """Set when the client opens the window, if somebody waits for that."""
        client.head = event.head
        client.begin_request(request)

    # --- for the connection ---

    def note(self, event: StreamEvent) -> None:
        """Note what the client has sent on this stream."""
        if isinstance(event, DataArrived):
            self.received.put(event.data)
            self._unread.add(len(event.data))
        elif isinstance(event, RequestEnded):
            self.received.end(event.trailers)
        elif isinstance(event, WindowOpened):
            if self._window is not None and self._session.window(self.stream_id) > 0:
                self._window.set()
        elif isinstance(event, RequestMalformed):
            self.fault = self.fault or event.why
            self.break_off(EndReason.MALFORMED)
        else:
            self.break_off(EndReason.DISCONNECTED)

    def break_off(self, reason: EndReason) -> None:
        """The client sends and reads nothing more on this stream."""
        self.received.break_off()
        self.client.abandon(reason)

    @property
    def is_reset(self) -> bool:
        """Whether nothing can be sent any more."""
        return not self._session.is_sending(self.stream_id)

    @property
    def has_all_sent(self) -> bool:
        """Whether the client misses nothing, whatever ends the handler now.

        A tunnel ends when its client leaves, as over HTTP/1.1.
        """
        if self._is_tunnel:
            return self.client.has_left and not self.fault
        return self._has_ended and not self.unsent

    def close(self) -> None:
        """End the stream, since the handler is done."""
        if self._is_tunnel and not self._has_ended:  # It failed (RFC 8441 section 5).
            self._session.reset(self.stream_id, ErrorCodes.CANCEL)
        self._end()

    # --- the request ---

    @property
    def has_whole_request(self) -> bool:
        return self.request.framing is _NO_BODY or self.received.is_complete

    def has_body(self, limit: int) -> bool:
        return self.request.framing is _LENGTH and self.received.is_whole(limit)

    def take_body(self, limit: int) -> bytes | None:
        return self.received.take(limit) if self.has_body(limit) else None

    def body(self, limit: int) -> StreamBody:
        self.received.limit = limit
        self._session.widen(self.stream_id)
        return self.received

    def close_body(self) -> None:
        """Forget what has arrived of the request's body."""
        self._unread.add(-self.received.close())

    def _credit(self, count: int) -> None:
        self._unread.add(-count)
        self._session.credit(self.stream_id, count)
        self._writer.flush_soon()

    # --- the response ---

    async def send_interim(self, response: Response) -> None:
        while self._writer.is_full:
            await self._until_writable()
        self._session.send_head(self.stream_id, response_fields(response), end=False)
        self._writer.flush_soon()
        await trio.lowlevel.checkpoint()

    async def respond(self, response: Response, body: bytes) -> None:
        if rest := self.respond_now(response, body):
            await self.finish(rest)

    def respond_now(self, response: Response, body: bytes) -> Unsent:
        self._begin(response, end=not body)
        self.sent = len(body)
        return self._send_last(body)

    async def start(self, response: Response, first: bytes = b"", *, more: bool = False) -> None:
        await self._finish_or_yield(self.start_now(response, first, more=more))

    def start_now(self, response: Response, first: bytes = b"", *, more: bool = False) -> Unsent:
        if response.framing is _LENGTH:
            self._length = response.length
        self._begin(response, end=response.framing is _NO_BODY or self._length == 0)
        if first:
            return self.send_now(first)
        if not more:
            self._writer.flush_soon()
        return b""

    async def send(self, data: bytes | memoryview) -> None:
        await self._finish_or_yield(self.send_now(data))

    def send_now(self, data: bytes | memoryview) -> Unsent:
        self.sent += len(data)
        return self._send_last(data) if self.sent == self._length else self._send(data)

    async def finish(self, rest: Unsent, patience: float = math.inf) -> Unsent:
        with trio.move_on_after(patience):
            while rest:
                await self._until_writable()
                rest = self._send(rest)
        return rest

    async def send_from(self, body: LengthBody, ahead: ReadAhead) -> bool:
        return False  # What is sent is encrypted here, so its bytes cannot stay in the kernel.

    async def send_file(self, file: OpenFile, offset: int, length: int) -> None:
        source = FileBody(file, offset, length)
        while source.left:
            await until_ready(source, self.client)
            await self.send(source.read())

    async def end(self, trailers: Fields, *, close: bool = False) -> None:
        if trailers and not self._has_ended:
            self._has_ended = True
            self._session.send_head(self.stream_id, trailer_fields(trailers), end=True)
            self._writer.flush_soon()
        self._end()
        await trio.lowlevel.checkpoint()

    async def upgrade(self, response: Response) -> StreamTunnel:
        """Accept the WebSocket with 200 (RFC 8441 section 5), unless the backend did not mean it.

        The key is ours (RFC 6455 section 4.2.2), so nobody else checks the answer to it.
        """
        key = joined(self.request.fields, b"sec-websocket-key")
        accepted = joined(response.fields, b"sec-websocket-accept")
        if key is None or accepted != accept_for(key):
            raise NOT_SWITCHED.copy()
        self.status = 200
        self._is_tunnel = True
        self.client.begin_tunnel()
        opened = evolve(response, status=200, reason=b"OK")
        self._session.send_head(self.stream_id, response_fields(opened, date_line()), end=False)
        self._writer.flush_soon()
        self._session.widen(self.stream_id)
        return StreamTunnel(self.received, self._send_on_tunnel, self._end)

    def count(self, sent: int) -> None:
        self.sent += sent

    def reset(self) -> None:
        self._session.reset(self.stream_id, ErrorCodes.INTERNAL_ERROR)
        self._writer.flush_soon()

    def _begin(self, response: Response, *, end: bool) -> None:
        """Send the head of the final response."""
        if self.request.upgrade and response.status < 300:
            raise NOT_SWITCHED.copy()  # To the client this would mean that it was.
        self.status = response.status
        self.client.begin_response()
        self._send_head(response, end=end)

    def _send_head(self, response: Response, *, end: bool) -> None:
        if self.is_admitted:
            response = shared_caches.rule_out(response)
        lines = b"" if response.has_date else date_line()
        site = self.client.site
        if site is not None and site.hsts:
            lines += hsts.lines_for(self.client, response.lines)
        if self.set_cookie:
            lines += cookies.lines_for(self.set_cookie, response)
        self._session.send_head(self.stream_id, response_fields(response, lines), end=end)
        self._has_ended = end

    def _send_last(self, data: bytes | memoryview) -> Unsent:
        self._has_ended = True
        return self._send(data)

    def _send(self, data: bytes | memoryview) -> Unsent:
        """Send what can be sent without waiting, in frames; return the rest."""
        rest = self._writer.send_data(self.stream_id, data, end=self._has_ended)
        self.unsent = len(rest)
        return rest

    def _end(self) -> None:
        """End the stream, if its last frame has not done so."""
        if not self._has_ended:
            self._has_ended = True
            self._writer.end(self.stream_id)

    async def _send_on_tunnel(self, data: bytes) -> None:
        rest = self._send(data)
        while rest:
            await self._until_room()
            rest = self._send(rest)
        await trio.lowlevel.checkpoint()

    async def _finish_or_yield(self, rest: Unsent) -> None:
        """Send the rest, or have a checkpoint now and then."""
        if rest:
            await self.finish(rest)
        else:
            await self.client.transport.maybe_checkpoint()

    async def _until_writable(self) -> None:
        """Wait for a client that may be slow, but not silent for `idle_timeout`."""
        client = self.client
        client.await_client(self._shared.settings.idle_timeout)
        try:
            await self._until_room()
        finally:
            client.stop_waiting()
            client.clear_timeout()

    async def _until_room(self) -> None:
        """Wait until both the windows and the socket have room."""
        while not self._writer.has_room(self.stream_id):
            if self._session.window(self.stream_id) > 0:
                await self._writer.until_room()
            else:
                self._writer.pass_on()
                window = self._window = trio.Event()
                await window.wait()
