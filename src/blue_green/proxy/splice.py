"""Move large bodies within the kernel: socket to pipe to socket, with splice(2).

Copying through Python costs two passes over every byte. Beyond some size, setting up a pipe is
cheaper.
"""

import fcntl
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress

import trio

from blue_green.http.transport import Transport
from blue_green.proxy.relay import BadBody

WORTHWHILE = 512 * 1024
"""Bytes of a body from which on splicing is cheaper."""
PIPE_SIZE = 1024 * 1024


async def splice(
    source: Transport,
    sink: Transport,
    length: int,
    until_writable: Callable[[], Awaitable[None]],
    moved: Callable[[int], None],
) -> bool:
    """Move exactly `length` bytes; raise `BadBody` if the source ends or fails before.

    Both must be plain sockets. `until_writable` waits for the sink. `moved` is called with the
    number of bytes that the sink took each time. Errors of the sink are `OSError`. Returns False,
    and nothing is moved, if no pipe can be made.
    """
    try:
        out_of, into = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        with suppress(OSError):  # Over this user's limit (pipe(7)): a small pipe works, too.
            fcntl.fcntl(into, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
        waiting = 0
        while length or waiting:
            if not waiting:
                waiting = await _fill(source, into, min(length, PIPE_SIZE))
                length -= waiting
            try:
                count = os.splice(out_of, sink.sock.fileno(), waiting, flags=os.SPLICE_F_MOVE)
            except BlockingIOError:
                await until_writable()
            else:
                waiting -= count
                moved(count)
                await sink.maybe_checkpoint()
    finally:
        os.close(out_of)
        os.close(into)
    return True


async def _fill(source: Transport, into: int, length: int) -> int:
    while True:
        try:
            count = os.splice(source.sock.fileno(), into, length, flags=os.SPLICE_F_MOVE)
        except BlockingIOError:
            await trio.lowlevel.wait_readable(source.sock)
        except OSError as error:
            raise BadBody(f"the connection failed: {error.strerror}") from None
        else:
            if not count:
                raise BadBody("it broke off before its end")
            return count
