"""Streams (event streams and tunnels, which may last for ever), and how to end each properly.

An event stream ends between two events, as far as its backend sends these in chunks of their own; a
WebSocket ends between two frames, with a close frame of ours. So clients reconnect and show no
error. How to end other protocols is unknown to us.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress

import trio
from attrs import define, field

from blue_green.http.response import Response
from blue_green.http.transport import BLOCK, Transport
from blue_green.proxy.client_stream import ByteStream, ClientStream
from blue_green.proxy.relay import BadBody, Body, body_of
from blue_green.proxy.websocket import GOING_AWAY, Frames
from blue_green.routing.lease import Lease, Target

LINGER_TIMEOUT = 1.0
"""Seconds for one half of a tunnel to go on after the other has failed."""

MOST_FRAMES = 8 * 1024
"""Bytes of frames received at once: up to 4096 tiny ones, while other connections wait."""

FRAME_TIMEOUT = 1.0
"""Seconds for the current frame to end after a request to end its WebSocket."""
CLOSE_TIMEOUT = 1.0
"""Seconds for the client's close frame to reach the backend, and for the backend to close."""


@define(eq=False)
class Ending:
    """A request to end a stream, which can be made at any time."""

    target: Target
    """If we stop this backend, a stream that breaks off has ended as intended."""
    is_requested: bool = False
    _reading: trio.CancelScope = field(factory=trio.CancelScope, init=False)

    def request(self) -> None:
        self.is_requested = True
        self._reading.cancel()

    @property
    def is_due(self) -> bool:
        return self.is_requested or self.target.is_stopping

    async def unless_requested(self, read: Callable[[], Awaitable[bytes]]) -> bytes:
        """Return what `read` returns, or b"" if the end is requested first."""
        if not self.is_requested:
            with trio.CancelScope() as self._reading:
                return await read()
        return b""


async def serve_events(
    stream: ClientStream, transport: Transport, response: Response, lease: Lease
) -> None:
    """Send an event stream, which may outlive all requests to its backend; raise `BadBody`."""
    end = Ending(lease.target)
    lease.become_stream(end.request)
    body = body_of(transport, response.framing, response.length)
    await stream.start(response)
    stream.client.begin_events()
    await relay_events(body, stream.send, end)
    await stream.end(body.trailers, close=end.is_due)  # Some clients wait for the close.


async def serve_tunnel(
    stream: ClientStream, transport: Transport, response: Response, lease: Lease
) -> None:
    """Switch protocols, and relay the tunnel until it ends."""
    end = Ending(lease.target)
    is_websocket = (response.upgrade or b"").lower() == b"websocket"
    lease.become_stream(end.request if is_websocket else None)
    client = await stream.upgrade(response)
    if is_websocket:
        await websocket(client, transport, end, stream.count)
    else:
        await tunnel(client, transport, stream.count)


async def relay_events(body: Body, send: Callable[[bytes], Awaitable[None]], end: Ending) -> None:
    """Send an event stream until it ends, or its end is requested."""
    try:
        while data := await end.unless_requested(body.read):
            await send(data)
    except BadBody:
        if not end.is_due:
            raise


async def tunnel(client: ByteStream, backend: Transport, moved: Callable[[int], None]) -> None:
    """Move bytes both ways, untouched, until both sides have ended or one of them fails.

    When one side ends, the other one gets its end and can go on sending. `moved` is called with
    the number of bytes that arrived each time.
    """
    async with trio.open_nursery() as nursery:
        both = nursery.cancel_scope
        nursery.start_soon(_until_failure, both, lambda: _copy(client, backend, moved))
        nursery.start_soon(_until_failure, both, lambda: _copy(backend, client, moved))


async def websocket(
    client: ByteStream, backend: Transport, end: Ending, moved: Callable[[int], None]
) -> None:
    """Relay a WebSocket like a tunnel, and close it gracefully when its end is requested."""
    async with trio.open_nursery() as nursery:
        both = nursery.cancel_scope
        to_client = _WebSocketToClient(backend, client, both, moved, end)
        nursery.start_soon(_until_failure, both, lambda: _copy(client, backend, moved))
        nursery.start_soon(_until_failure, both, to_client.run)


async def _until_failure(both: trio.CancelScope, move: Callable[[], Awaitable[None]]) -> None:
    """Run one direction; when it fails, the other one has a moment to deliver what it has."""
    try:
        await move()
    except OSError:
        both.deadline = trio.current_time() + LINGER_TIMEOUT


async def _copy(source: ByteStream, sink: ByteStream, moved: Callable[[int], None]) -> None:
    while data := await source.receive():
        moved(len(data))
        await sink.send(data)
    await sink.send_eof()


class _WebSocketToClient:
    """The direction from the backend to the client, followed frame by frame."""

    def __init__(
        self,
        source: Transport,
        sink: ByteStream,
        both: trio.CancelScope,
        moved: Callable[[int], None],
        end: Ending,
    ) -> None:
        self._source = source
        self._sink = sink
        self._both = both
        """The scope in which both directions run."""
        self._moved = moved
        self._end = end
        self._frames = Frames()

    async def run(self) -> None:
        try:
            while not (self._end.is_requested and self._frames.are_whole):
                data = await self._receive()
                if data is None:
                    continue
                if not data:
                    break
                length = self._frames.follow(data, only_this=self._end.is_requested)
                self._moved(length)
                await self._sink.send(data[:length])
        except OSError:
            if not self._end.is_due:
                raise
        is_due = self._end.is_due
        if is_due and self._frames.are_whole and not self._frames.has_closed:
            await self._send_close()
        await self._sink.send_eof()
        if is_due:
            self._both.cancel()

    async def _receive(self) -> bytes | None:
        """Receive the next bytes: b"" at the end, None if the caller should try again.

        Received bytes are not lost if the end is requested at the same moment.
        """
        data = self._source.try_receive(max(MOST_FRAMES, min(self._frames.left, BLOCK)))
        if data is not None:
            await self._source.maybe_checkpoint()
            return data
        if not self._end.is_requested:
            await self._end.unless_requested(self._readable)
            return None
        with trio.move_on_after(FRAME_TIMEOUT):
            await self._source.readable()
            return None
        return b""  # The last frame did not end in time.

    async def _readable(self) -> bytes:
        await self._source.readable()
        return b""

    async def _send_close(self) -> None:
        """Send a close frame. The client's is relayed to the backend, which then closes."""
        await self._sink.send(GOING_AWAY)
        with trio.move_on_after(CLOSE_TIMEOUT), suppress(OSError):
            while await self._source.receive():
                pass
