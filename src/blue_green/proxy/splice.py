"""Move large bodies within the kernel: socket to pipe to socket, with splice(2).

Copying through Python costs two passes over every byte. Beyond some size, setting up a pipe is
cheaper.
"""

import fcntl
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Protocol

import trio
from attrs import define, frozen

from blue_green.http.transport import Transport
from blue_green.proxy.relay import BadBody, LengthBody

WORTHWHILE = 512 * 1024
"""Bytes of a body from which on splicing is cheaper."""
PIPE_SIZE = 1024 * 1024


class ReadAhead(Protocol):
    """What happens to a body whose sink is slow."""

    async def try_to_deliver(self, size: int, deliver: Callable[[], Awaitable[object]]) -> None:
        """Call `deliver`, which sends so many bytes, and cancel it if the sink is slow."""

    async def finish(self, size: int, deliver: Callable[[], Awaitable[object]]) -> None:
        """Call `deliver`, which sends the last bytes of the body: so many."""

    async def read_on(self, size: int, deliver: Callable[[], Awaitable[object]]) -> None:
        """Call `deliver`, which sends the next bytes, and meanwhile read on from the source."""


@frozen
class SpliceSink:
    """The client's side."""

    transport: Transport
    until_writable: Callable[[], Awaitable[None]]
    moved: Callable[[int], None]
    """Called with the number of bytes that it took each time."""


@define
class Pipe:
    """A pipe, through which a body passes in portions."""

    _out_of: int
    _into: int
    size: int = 0
    """Bytes in it."""

    async def fill(self, body: LengthBody) -> None:
        """Move the next bytes into it, as soon as there are any; raise `BadBody`."""
        while not self._take(body):
            await trio.lowlevel.wait_readable(body.transport.sock)

    def fill_with_rest(self, body: LengthBody) -> None:
        """Move the rest of the body into it, as far as it has arrived, if there is room for it."""
        while 0 < body.left <= PIPE_SIZE - self.size and self._take(body):
            pass

    def _take(self, body: LengthBody) -> bool:
        """Move some bytes into it; False if none have arrived, or there is no room."""
        limit = min(body.left, PIPE_SIZE)
        try:
            count = os.splice(
                body.transport.sock.fileno(), self._into, limit, flags=os.SPLICE_F_MOVE
            )
        except BlockingIOError:
            return False
        except OSError as error:
            raise BadBody(f"the connection failed: {error.strerror}") from None
        if not count:
            raise BadBody("it broke off before its end")
        self.size += count
        body.left -= count
        return True

    def send_now(self, sink: SpliceSink) -> bool:
        """Send what the sink takes without waiting; False if that is nothing."""
        try:
            count = os.splice(
                self._out_of, sink.transport.sock.fileno(), self.size, flags=os.SPLICE_F_MOVE
            )
        except BlockingIOError:
            return False
        self.size -= count
        sink.moved(count)
        return True

    async def drain(self, sink: SpliceSink) -> None:
        """Send all of it."""
        while self.size:
            if self.send_now(sink):
                await sink.transport.maybe_checkpoint()
            else:
                await sink.until_writable()


async def splice(body: LengthBody, sink: SpliceSink, ahead: ReadAhead) -> bool:
    """Move the whole body; raise `BadBody` if its source ends or fails before.

    Both sides must be plain sockets. Errors of the sink are `OSError`. Returns False, and nothing
    is moved, if no pipe can be made.
    """
    try:
        out_of, into = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        with suppress(OSError):  # Over this user's limit (pipe(7)): a small pipe works, too.
            fcntl.fcntl(into, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
        pipe = Pipe(out_of, into)
        while body.left or pipe.size:
            if not pipe.size:
                await pipe.fill(body)
            if pipe.send_now(sink):
                await sink.transport.maybe_checkpoint()
            else:
                await _wait_for_sink(pipe, body, sink, ahead)
    finally:
        os.close(out_of)
        os.close(into)
    return True


async def _wait_for_sink(pipe: Pipe, body: LengthBody, sink: SpliceSink, ahead: ReadAhead) -> None:
    """Empty the pipe into a sink that takes nothing now."""
    pipe.fill_with_rest(body)
    if not body.left:
        await ahead.finish(pipe.size, partial(pipe.drain, sink))
        return
    await ahead.try_to_deliver(pipe.size, partial(pipe.drain, sink))
    if pipe.size:
        await ahead.read_on(pipe.size, partial(pipe.drain, sink))
