"""The sending side of an HTTP/2 connection, for its session and all of its streams.

What they send is collected in the session, and goes out together with what others send in the same
turn of the event loop. While the socket takes no more, streams with data wait, so that what is
collected has a bound.
"""

from collections.abc import Callable

import trio

from blue_green.http.transport import Transport
from blue_green.http2.session import Session
from blue_green.proxy.client_stream import Unsent

MOST_COLLECTED = 64 * 1024
"""Bytes that wait for the socket, from which on no stream adds more data."""


class FrameWriter:
    """The sending side of one connection."""

    def __init__(self, transport: Transport, session: Session, lost: Callable[[], None]) -> None:
        """`lost` is called when the connection has failed."""
        self.is_shared = False
        """Several streams may have something to send in the same turn."""
        self._transport = transport
        self._session = session
        self._lost = lost
        self._unsent: Unsent = b""
        """What the socket has not taken yet; the first to be sent."""
        self._is_due = trio.Event()
        self._room = trio.lowlevel.ParkingLot()
        """Streams that wait for the socket, or for the window of the connection."""
        self._drained = trio.Event()

    @property
    def collected(self) -> int:
        """Bytes that wait for the socket."""
        return len(self._unsent) + self._session.pending

    @property
    def is_full(self) -> bool:
        """Whether the socket has to take something before more is added."""
        return self.collected >= MOST_COLLECTED

    def send_data(self, stream_id: int, data: bytes | memoryview, *, end: bool) -> Unsent:
        """Send what the windows and the socket take without waiting; return the rest.

        With `end`, the last byte ends the stream.
        """
        session = self._session
        while data and (count := self._room_for(stream_id)):
            is_all = count >= len(data)
            session.send_data(stream_id, data[:count], end=end and is_all)
            data = b"" if is_all else memoryview(data)[count:]
            if data:
                self.flush()
        self.flush_soon()
        self.pass_on()
        return data

    def end(self, stream_id: int) -> None:
        """End the stream, all of whose data has been sent."""
        self._session.send_data(stream_id, b"", end=True)
        self.flush_soon()

    def has_room(self, stream_id: int) -> bool:
        """Whether `send_data` would send something."""
        return self._room_for(stream_id) > 0

    async def until_room(self) -> None:
        """Wait for a turn to send data: streams that wait get it one after the other."""
        self._is_due.set()
        await self._room.park()

    def pass_on(self) -> None:
        """Let the next stream send that waits for its turn, if there is room for it."""
        if self._room and self.collected < MOST_COLLECTED and self._session.has_room:
            self._room.unpark()

    async def until_drained(self) -> None:
        """Wait until the socket has taken everything that is collected now."""
        self._drained = trio.Event()
        self._is_due.set()
        await self._drained.wait()

    def flush_soon(self) -> None:
        """Send what is collected; with others that may add to it, in the next turn."""
        if self.is_shared or self._room:
            self._is_due.set()
        else:
            self.flush()

    def flush(self) -> None:
        """Send what is collected, as far as the socket takes it."""
        try:
            while data := self._unsent or self._session.take_output():
                self._unsent = self._transport.send_now(data)
                if self._unsent:
                    self._is_due.set()
                    return
        except OSError:
            self._unsent = b""
            self._lost()

    async def run(self) -> None:
        """Send whenever something is due, until cancelled."""
        while True:
            await self._is_due.wait()
            self._is_due = trio.Event()
            self.flush()
            while self._unsent:
                await trio.lowlevel.wait_writable(self._transport.sock)
                self.flush()
            self._drained.set()
            self.pass_on()

    def _room_for(self, stream_id: int) -> int:
        room = MOST_COLLECTED - self.collected
        return min(self._session.room(stream_id), room) if room > 0 else 0
