"""Streams: answers and tunnels that may last for ever, and how each of them is ended properly.

An event stream ends between two events as far as its backend sends these in chunks of their own,
and with the last chunk; a WebSocket between two frames, with a close frame of ours. So the client
knows that it may come back, and nothing is broken. Of other protocols we do not know the end.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress

import trio
from attrs import define, field

from blue_green.http.transport import BLOCK, Transport
from blue_green.proxy.relay import BadBody, Body, chunk, last_chunk
from blue_green.proxy.websocket import GOING_AWAY, Frames
from blue_green.routing.lease import Target

LAST_WORDS = 1.0
"""Seconds that one half of a tunnel may go on when the other has failed."""

MOST_FRAMES = 8 * 1024
"""Bytes taken in at once of frames that may be tiny: four thousand, while all others wait."""

TO_END_FRAME = 1.0
"""Seconds for a frame to end that has begun when its WebSocket is to end."""
TO_SAY_GOODBYE = 1.0
"""Seconds for the client's close frame to reach the backend, and for that to close."""


@define(eq=False)
class Ending:
    """The wish that a stream ends, which can come at any time."""

    target: Target
    """If we stop it and the stream breaks off, that is the end that was to come anyway."""
    is_wanted: bool = False
    _reading: trio.CancelScope = field(factory=trio.CancelScope, init=False)

    def ask(self) -> None:
        self.is_wanted = True
        self._reading.cancel()

    @property
    def is_due(self) -> bool:
        return self.is_wanted or self.target.is_stopping

    async def unless_wanted(self, read: Callable[[], Awaitable[bytes]]) -> bytes:
        """What that gives; nothing if the stream is to end before it gives anything."""
        if not self.is_wanted:
            with trio.CancelScope() as self._reading:
                return await read()
        return b""


async def relay_events(
    body: Body, send: Callable[[bytes], Awaitable[None]], end: Ending, *, chunked: bool
) -> None:
    """Send an event stream until it ends, or is to end."""
    try:
        while data := await end.unless_wanted(body.read):
            await send(chunk(data) if chunked else data)
    except BadBody:
        if not end.is_due:
            raise
    if chunked:
        await send(last_chunk(body.trailers))


async def tunnel(one: Transport, other: Transport, moved: Callable[[int], None]) -> None:
    """Move bytes both ways, untouched, until both sides have ended or one of them fails.

    When one side ends, the other is told so and can go on sending. `moved` is called with how many
    bytes came each time.
    """
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_OneWay(one, other, nursery.cancel_scope, moved).run)
        nursery.start_soon(_OneWay(other, one, nursery.cancel_scope, moved).run)


async def websocket(
    client: Transport, backend: Transport, end: Ending, moved: Callable[[int], None]
) -> None:
    """The same for a WebSocket, which can also end from outside."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_OneWay(client, backend, nursery.cancel_scope, moved).run)
        nursery.start_soon(_ToClient(backend, client, nursery.cancel_scope, moved, end).run)


class _OneWay:
    """One direction of a tunnel."""

    def __init__(
        self,
        source: Transport,
        sink: Transport,
        both: trio.CancelScope,
        moved: Callable[[int], None],
    ) -> None:
        self.source = source
        self.sink = sink
        self.both = both
        """The scope in which both directions run."""
        self.moved = moved

    async def run(self) -> None:
        try:
            await self.move()
        except OSError:
            # One side is gone. What it had sent before, the other may still take.
            self.both.deadline = trio.current_time() + LAST_WORDS

    async def move(self) -> None:
        while data := await self.source.receive():
            self.moved(len(data))
            await self.sink.send(data)
        await self.sink.send_eof()


class _ToClient(_OneWay):
    """What the backend of a WebSocket sends, which is followed frame by frame."""

    def __init__(
        self,
        source: Transport,
        sink: Transport,
        both: trio.CancelScope,
        moved: Callable[[int], None],
        end: Ending,
    ) -> None:
        super().__init__(source, sink, both, moved)
        self.end = end
        self.frames = Frames()

    async def move(self) -> None:
        try:
            while not (self.end.is_wanted and self.frames.are_whole):
                data = await self._receive()
                if data is None:
                    continue
                if not data:
                    break
                length = self.frames.follow(data, only_this=self.end.is_wanted)
                self.moved(length)
                await self.sink.send(data[:length])
        except OSError:
            if not self.end.is_due:
                raise
        if not self.end.is_due:
            await self.sink.send_eof()
            return
        if self.frames.are_whole and not self.frames.has_closed:
            await self._say_goodbye()
        self.both.cancel()

    async def _receive(self) -> bytes | None:
        """What comes next, nothing at the end, and None when it is time to look again.

        Nothing that has come is lost when the wish to end comes in the same moment.
        """
        data = self.source.try_receive(max(MOST_FRAMES, min(self.frames.left, BLOCK)))
        if data is not None:
            await self.source.maybe_checkpoint()
            return data
        if not self.end.is_wanted:
            await self.end.unless_wanted(self._readable)
            return None
        with trio.move_on_after(TO_END_FRAME):
            await self.source.readable()
            return None
        return b""  # The frame that is to be the last does not end.

    async def _readable(self) -> bytes:
        await self.source.readable()
        return b""

    async def _say_goodbye(self) -> None:
        """Send a close frame. The client's own goes on to the backend, which then closes."""
        await self.sink.send(GOING_AWAY)
        with trio.move_on_after(TO_SAY_GOODBYE), suppress(OSError):
            while await self.source.receive():
                pass
