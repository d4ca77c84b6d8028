"""One connection of a well-behaved HTTP/2 client."""

from contextlib import suppress

import trio
from attrs import define, field
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)
from h2.exceptions import ProtocolError

from tests.support.http2_frames import FrameType
from tests.support.http_client import Answer

WINDOW = 2**20
"""Bytes that the server may send on a stream before they are acknowledged."""
CONNECTION_WINDOW = 16 * WINDOW
FRAME_HEADER = 9
BROKEN = (trio.BrokenResourceError, trio.ClosedResourceError)


class Unprocessed(Exception):
    """The server has not processed the request, and will not: it may be repeated."""


class RequestFailed(Exception):
    """There is no whole response."""


@define(eq=False)
class _Exchange:
    """A request, and what has come of its response."""

    status: int = 0
    headers: dict[str, str] = field(factory=dict)
    body: bytearray = field(factory=bytearray)
    failure: Exception | None = None
    is_sent: bool = False
    over: trio.Event = field(factory=trio.Event)
    """Set once the response is complete, or the request has failed."""

    def fail(self, failure: Exception) -> None:
        if not self.over.is_set():
            self.failure = failure
            self.over.set()


class ClientConnection:
    """Sends requests while it `is_open`; ends by itself after GOAWAY and the last response."""

    def __init__(self, stream: trio.SSLStream[trio.SocketStream]) -> None:
        self.is_open = True
        self.promised: int | None = None
        """After GOAWAY, the last stream that the server processes."""
        self._stream = stream
        self._h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self._exchanges: dict[int, _Exchange] = {}
        self._bytes = b""
        self._unsent = trio.Event()
        """Set when there is something to send."""
        self._moved = trio.Event()
        """Replaced whenever a window may have opened, or a stream has ended."""

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Receive until the connection ends."""
        why = "the client was closed"
        try:
            async with self._stream, trio.open_nursery() as nursery:
                self._start()
                task_status.started()
                nursery.start_soon(self._send)
                why = await self._receive()
                nursery.cancel_scope.cancel()
        finally:
            self.is_open = False
            self._fail_all(why)
            self._move()

    async def exchange(self, fields: list[tuple[str, str]], body: bytes) -> Answer:
        """Send a request and await its response; raise `RequestFailed` or `Unprocessed`."""
        stream_id, exchange = await self._begin(fields, has_body=bool(body))
        try:
            await self._send_body(stream_id, exchange, body)
            await exchange.over.wait()
            if exchange.failure is not None:
                raise exchange.failure
            return Answer(exchange.status, exchange.headers, bytes(exchange.body))
        finally:
            del self._exchanges[stream_id]
            if not (exchange.is_sent and exchange.over.is_set()):
                with suppress(ProtocolError):  # It was closed already.
                    self._h2.reset_stream(stream_id, ErrorCodes.CANCEL)
            self._unsent.set()
            self._move()

    def _start(self) -> None:
        self._h2.initiate_connection()
        self._h2.update_settings({4: WINDOW})
        self._h2.increment_flow_control_window(CONNECTION_WINDOW)
        self._unsent.set()

    async def _begin(
        self, fields: list[tuple[str, str]], *, has_body: bool
    ) -> tuple[int, _Exchange]:
        """Begin a stream, as soon as the server's limit allows it."""
        while self.is_open and len(self._exchanges) >= self._most:
            await self._moved.wait()
        if not self.is_open:
            raise Unprocessed
        stream_id = self._h2.get_next_available_stream_id()
        self._exchanges[stream_id] = exchange = _Exchange(is_sent=not has_body)
        self._h2.send_headers(stream_id, fields, end_stream=not has_body)
        self._unsent.set()
        return stream_id, exchange

    @property
    def _most(self) -> int:
        return min(100, self._h2.remote_settings.max_concurrent_streams or 100)

    async def _send_body(self, stream_id: int, exchange: _Exchange, body: bytes) -> None:
        rest = memoryview(body)
        while rest and not exchange.over.is_set():
            window = self._h2.local_flow_control_window(stream_id)
            count = min(len(rest), window, self._h2.max_outbound_frame_size)
            if count <= 0:
                await self._moved.wait()
                continue
            self._h2.send_data(stream_id, rest[:count], end_stream=count == len(rest))
            rest = rest[count:]
            exchange.is_sent = not rest
            self._unsent.set()

    async def _send(self) -> None:
        """Send what is to be sent, and end the connection after the last response."""
        with suppress(*BROKEN):  # The receiving task finds out why.
            while self.is_open or self._exchanges:
                await self._unsent.wait()
                self._unsent = trio.Event()
                if data := self._h2.data_to_send():
                    await self._stream.send_all(data)
            await self._stream.aclose()

    async def _receive(self) -> str:
        """Receive until the connection ends; why it has."""
        while True:
            try:
                data = await self._stream.receive_some(64 * 1024)
            except BROKEN as error:
                return f"the connection broke: {error.__cause__ or error}"
            if not data:
                return "the server has closed the connection"
            self._bytes += data
            while frame := self._next_frame():
                if frame[3] == FrameType.GOAWAY:
                    self._take_goaway(frame[FRAME_HEADER:])
                else:
                    for event in self._h2.receive_data(frame):
                        self._take(event)
            self._unsent.set()
            self._move()

    def _next_frame(self) -> bytes:
        """The next whole frame. h2 would take GOAWAY for the end of everything."""
        end = FRAME_HEADER + int.from_bytes(self._bytes[:3])
        if len(self._bytes) < max(end, FRAME_HEADER):
            return b""
        frame, self._bytes = self._bytes[:end], self._bytes[end:]
        return frame

    def _take_goaway(self, payload: bytes) -> None:
        last, code = int.from_bytes(payload[:4]) & 0x7FFFFFFF, int.from_bytes(payload[4:8])
        self.is_open, self.promised = False, last
        for stream_id, exchange in list(self._exchanges.items()):
            if stream_id > last:
                exchange.fail(Unprocessed())
        if code != ErrorCodes.NO_ERROR:
            self._fail_all(f"GOAWAY with error {code}: {payload[8:]!r}")

    def _take(self, event: Event) -> None:
        if isinstance(event, DataReceived):
            assert event.stream_id is not None
            if event.flow_controlled_length:  # Of a stream that was reset, too.
                self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        exchange = self._exchanges.get(getattr(event, "stream_id", None) or 0)
        if exchange is None:
            return
        if isinstance(event, ResponseReceived):
            headers = {str(name): str(value) for name, value in event.headers or ()}
            exchange.status, exchange.headers = int(headers.pop(":status")), headers
        elif isinstance(event, DataReceived):
            exchange.body += event.data or b""
        elif isinstance(event, StreamEnded):
            exchange.over.set()
        elif isinstance(event, StreamReset):
            is_refused = event.error_code == ErrorCodes.REFUSED_STREAM
            why = f"the stream was reset with error {event.error_code}"
            exchange.fail(Unprocessed() if is_refused else RequestFailed(why))

    def _fail_all(self, why: str) -> None:
        for exchange in self._exchanges.values():
            exchange.fail(RequestFailed(why))

    def _move(self) -> None:
        self._moved.set()
        self._moved = trio.Event()
