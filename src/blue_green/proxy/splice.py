"""Move large bodies within the kernel: socket to pipe to socket, with splice(2).

Copying through Python costs two passes over every byte. Beyond some size, setting up a pipe is
cheaper.
"""

import fcntl
import math
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

    def patience(self, size: int) -> float:
        """Seconds that the sink may take for so many bytes; after them it is slow."""

    def note(self, began: float) -> None:
        """Note that the sink was waited for since `began`, on trio's clock."""

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

    def fill_with_rest(self, body: LengthBody) -> None:
        """Move the rest of the body into it, as far as it has arrived, if there is room for it."""
        while 0 < body.left <= PIPE_SIZE - self.size and self.take(body):
            pass

    def take(self, body: LengthBody) -> bool:
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
        """Send all of it, to a sink that takes nothing now."""
        while self.size:
            await sink.until_writable()
            while self.size and self.send_now(sink):
                await sink.transport.maybe_checkpoint()


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
            # One scope for all of it: a new one for each wait costs as much as the wait.
            with trio.CancelScope() as while_fast:
                await _move(pipe, body, sink, ahead, while_fast)
            if pipe.size:
                go_on = ahead.read_on if body.left else ahead.finish
                await go_on(pipe.size, partial(pipe.drain, sink))
    finally:
        os.close(out_of)
        os.close(into)
    return True


async def _move(
    pipe: Pipe, body: LengthBody, sink: SpliceSink, ahead: ReadAhead, while_fast: trio.CancelScope
) -> None:
    """Move bytes until all are sent, or the rest is in the pipe, or the sink is slow."""
    while pipe.size or body.left:
        if not pipe.size and not pipe.take(body):
            await trio.lowlevel.wait_readable(body.transport.sock)
        elif pipe.send_now(sink):
            await sink.transport.maybe_checkpoint()
        else:
            pipe.fill_with_rest(body)
            if not body.left:
                return
            began = trio.current_time()
            while_fast.deadline = began + ahead.patience(pipe.size)
            try:
                await pipe.drain(sink)
            finally:
                ahead.note(began)
            while_fast.deadline = math.inf
            if while_fast.cancel_called:
                return
