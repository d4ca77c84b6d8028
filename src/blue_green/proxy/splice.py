"""Large bodies stay in the kernel: socket to pipe to socket, with splice(2).

Copying through Python costs two passes over every byte. Past some size, setting up a pipe is
cheaper. Only for plain sockets, and for bodies whose length is known.
"""

import fcntl
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress

import trio

from blue_green.http.transport import Transport
from blue_green.proxy.relay import BadBody

WORTHWHILE = 512 * 1024
"""Bytes from which on a body is spliced."""
PIPE_SIZE = 1024 * 1024


async def splice(
    source: Transport,
    sink: Transport,
    length: int,
    until_writable: Callable[[], Awaitable[None]],
    moved: Callable[[int], None],
) -> bool:
    """Move exactly so many bytes; raise `BadBody` if the source ends or fails before.

    `until_writable` waits for the sink, in the way and for as long as its owner wants. `moved` is
    called with how many bytes the sink took each time. Errors of the sink are `OSError`. False, and
    nothing moved, if there is no pipe to be had, or if the sink is not a plain socket.
    """
    if not sink.is_plain:
        return False
    try:
        out_of, into = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        with suppress(OSError):  # Over the limit of this user (pipe(7)): a small pipe does, too.
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
