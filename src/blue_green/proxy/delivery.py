"""Deliver a response whose client may be slower than its backend.

A client that takes what it is sent gets each piece as it arrives, and nothing is buffered. For one
that does not, the rest of the response is read ahead from the backend while the client takes what
there is. Once the backend has sent everything, it is free, however long its client still takes.
"""

import math
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial

import trio
from attrs import define, field

from blue_green.http.heads import Framing
from blue_green.http.response import Response
from blue_green.http.transport import Transport
from blue_green.proxy.beside import beside
from blue_green.proxy.buffer import IN_MEMORY, PIECE, Buffer, BufferLost
from blue_green.proxy.buffer_space import BufferSpace
from blue_green.proxy.client_stream import ClientStream, Unsent
from blue_green.proxy.relay import BadBody, Body, LengthBody, body_of
from blue_green.proxy.served_site import ServedSite
from blue_green.proxy.splice import WORTHWHILE
from blue_green.routing.lease import Lease

FAST = 10 * 2**20
"""Bytes a second; a client that takes so many is not buffered."""
PATIENCE = 0.02
"""Seconds that a fast client may be late: on a busy machine nothing is on time."""
COPIED = 256 * 2**20
"""Bytes a second. A client may also be late by the time that the rest would take at this rate: to
buffer a large response costs much, and perhaps the client only paused."""
UNBUFFERED = re.compile(rb"(?im)^x-accel-buffering:[ \t]*no[ \t]*\r?$")
"""The header line by which an app asks nginx, too, not to buffer a response."""


@define
class Delivery:
    """One response on its way to the client."""

    _stream: ClientStream
    _transport: Transport
    """The connection to the backend."""
    _response: Response
    _site: ServedSite
    _space: BufferSpace
    _lease: Lease
    _backend_is_done: Callable[[bool], None]
    """Called when the backend has sent everything (True), or broke off (False), and the client has
    not taken all of it."""
    _body: Body = field(init=False)
    _is_read: bool = field(default=False, init=False)
    """Nothing more is to be read from the backend."""
    _failure: BadBody | None = field(default=None, init=False)
    _has_caught_up: bool = field(default=False, init=False)
    """The client has taken everything, and reading ahead has ended."""
    _late: float = field(default=0.0, init=False)
    """Seconds by which the client has taken longer than a fast one."""
    _noted: int = field(default=0, init=False)
    """Bytes of the body that had been sent when `_late` was computed."""
    _is_counted: bool = field(default=False, init=False)
    _known_bound: int | None = field(default=None, init=False)

    async def run(self) -> None:
        """Send the head and the body; raise `BadBody` if the backend breaks off."""
        stream, response = self._stream, self._response
        may_splice = response.framing is Framing.LENGTH
        body: Body
        if may_splice:
            first = self._transport.take(response.length)
            self._body = body = LengthBody(self._transport, response.length - len(first))
        else:
            self._body = body = body_of(self._transport, response.framing, 0)
            # A chunk may be long in coming, so the head does not wait for it.
            has_bytes = response.framing is Framing.CLOSE and body.has_arrived
            first = await body.read() if has_bytes else b""
        unsent = stream.start_now(response, first)
        while True:
            if unsent:
                await self._wait_for_client(unsent)
            if may_splice and isinstance(body, LengthBody) and body.left >= WORTHWHILE:
                may_splice = await stream.send_from(body, self)
            if self._is_read or not (data := await body.read()):
                break
            unsent = stream.send_now(data)
        await stream.end(body.trailers)

    # --- for a client that does not take what it is sent ---

    def patience(self, size: int) -> float:
        """Seconds to wait for the client to take so many bytes before `read_on`."""
        left = self._body.left if isinstance(self._body, LengthBody) else 0
        bound = self._bound
        if left > bound or not bound:
            return math.inf
        return max(0.0, size / FAST + max(PATIENCE, left / COPIED) - self._late)

    def note(self, began: float) -> None:
        """Note that we have waited for the client since `began`, on trio's clock.

        All that it has taken counts, also what it took at once.
        """
        taken, self._noted = self._stream.sent - self._noted, self._stream.sent
        waited = trio.current_time() - began
        self._lease.client_waits += waited
        self._late = max(0.0, self._late + waited - taken / FAST)

    @contextmanager
    def _backend_waits(self) -> Iterator[None]:
        """Nothing is read from the backend in this block, because the client is slow."""
        began = trio.current_time()
        try:
            yield
        finally:
            self._lease.client_waits += trio.current_time() - began

    async def finish(self, size: int, deliver: Callable[[], Awaitable[object]]) -> None:
        """Deliver the last bytes, of which the backend has sent all."""
        self._is_read = True
        with self._buffer() as buffer:
            if self._bound and buffer.reserve(size):
                self._count()
                self._backend_is_done(True)
            await deliver()

    async def read_on(self, size: int, deliver: Callable[[], Awaitable[object]]) -> None:
        """Read from the backend while these bytes are delivered, and then what was read.

        Returns when the client has caught up, or at the end.
        """
        while data := await self._deliver_beside_reading(size, deliver):
            unsent = self._stream.send_now(data)
            if not (unsent := await self._try_to_send(unsent)):
                break
            size, deliver = len(unsent), partial(self._stream.finish, unsent)

    async def _deliver_beside_reading(
        self, size: int, deliver: Callable[[], Awaitable[object]]
    ) -> bytes:
        """Do that once; if the client has caught up, return the bytes that are to be sent next."""
        with self._buffer() as buffer:
            if not buffer.reserve(max(size, PIECE)):
                with self._backend_waits():
                    await deliver()
                return b""
            self._count()
            self._has_caught_up, self._late = False, 0.0
            async with beside(partial(self._read_ahead, buffer)):
                await deliver()
                buffer.release(PIECE)
                while data := await self._get(buffer):
                    if self._has_caught_up:
                        return data
                    await self._stream.send(data)
                    buffer.release(PIECE)
        if self._failure is not None:
            raise self._failure
        return b""

    @property
    def _bound(self) -> int:
        """The largest size of a buffer on disk; 0: the response is not buffered at all."""
        if self._known_bound is None:
            response = self._response
            may_buffer = not UNBUFFERED.search(response.lines) and not response.is_event_stream
            self._known_bound = self._site.limits.buffer_responses if may_buffer else 0
        return self._known_bound

    def _buffer(self) -> Buffer:
        return Buffer(self._space, self._site.buffered, self._bound)

    def _count(self) -> None:
        self._site.buffered.responses += not self._is_counted
        self._is_counted = True

    async def _wait_for_client(self, unsent: Unsent) -> None:
        stream, body = self._stream, self._body
        if isinstance(body, LengthBody) and body.left <= IN_MEMORY and self._bound:
            if more := body.take_rest():
                await self.finish(len(unsent) + len(more), lambda: self._send_both(unsent, more))
                return
            if not body.left:
                await self.finish(len(unsent), partial(stream.finish, unsent))
                return
        if unsent := await self._try_to_send(unsent):
            await self.read_on(len(unsent), partial(stream.finish, unsent))

    async def _try_to_send(self, unsent: Unsent) -> Unsent:
        """Send this, unless the client is slow; what is left of it."""
        began = trio.current_time()
        left = await self._stream.finish(unsent, self.patience(len(unsent)))
        self.note(began)
        return left

    async def _send_both(self, unsent: Unsent, more: bytes) -> None:
        await self._stream.finish(unsent)
        await self._stream.send(more)

    async def _get(self, buffer: Buffer) -> bytes:
        try:
            return await buffer.get()
        except BufferLost:
            raise BadBody("its buffer could not be read") from None

    async def _read_ahead(self, buffer: Buffer) -> None:
        """Read until the end of the body, or until the client has caught up."""
        try:
            while data := await self._body.read():
                self._has_caught_up = buffer.is_awaited
                if not buffer.put_in_memory(data):
                    with self._backend_waits():
                        await self._store(buffer, data)
                if self._has_caught_up:
                    return
            self._is_read = True
            self._backend_is_done(True)
        except BadBody as bad:
            self._failure = bad
            self._backend_is_done(False)
        finally:
            buffer.end()

    async def _store(self, buffer: Buffer, data: bytes) -> None:
        """Store it in memory if the client takes the rest soon, else on disk, else wait."""
        if buffer.is_in_memory:
            with trio.move_on_after(PATIENCE):
                while not buffer.put_in_memory(data):
                    await buffer.changed()
                return
        while not await buffer.put(data):
            if not buffer.is_awaited:
                await buffer.changed()
