"""A connected socket: calls are tried first and waited for second.

Sockets rather than trio's streams, because trying `recv` and `send` before waiting saves most of
the event loop's turns for a proxy on one machine, where the other side is usually ready.

On a busy site it is cheaper still to look again in the loop's next turn than to have the kernel
tell: by the time all others had theirs, most answers are there. Whoever hoped in vain lets the
kernel tell for a while, so that where that does not hold, nearly nothing is lost.
"""

import errno
import socket
import struct
import time
from collections.abc import Awaitable

import trio

from blue_green.system import throttle

BLOCK = 128 * 1024
SLICE = 0.0005
"""Seconds for which calls may succeed one after the other without letting other tasks run."""
SPECULATION_BACKOFF = 8
"""For how many waits the kernel is asked, after nothing had come in just one turn of the loop."""

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: close() then sends RST and not FIN (socket(7))."""


class Transport:
    """One end of a connection, with what was received too early put back in front.

    Errors are those of the socket (`OSError`). Only one task may receive, and only one send.
    """

    __slots__ = ("_backoff", "_began", "buffer", "closed", "sock")

    is_plain = True
    """What is sent is what is on the socket, so that others may write to the socket, too."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.buffer = b""
        """Bytes that were received and not yet used: the next `receive` gives them first."""
        self.closed = False
        self._began = 0.0
        """When the first of those calls was over that succeeded since it last waited, if any."""
        self._backoff = 0

    async def receive(self, limit: int = BLOCK) -> bytes:
        """Up to `limit` bytes, as soon as there are any; nothing at the end."""
        while (data := self.try_receive(limit)) is None:
            await self.readable()
        await self.maybe_checkpoint()
        return data

    def try_receive(self, limit: int = BLOCK) -> bytes | None:
        """Up to `limit` bytes, if there are any or the end has come; otherwise None."""
        if self.buffer:
            return self.take(limit)
        try:
            return self.sock.recv(limit)
        except BlockingIOError:
            if not self._backoff:
                self._backoff = SPECULATION_BACKOFF
            return None

    def take(self, limit: int) -> bytes:
        """Up to `limit` of the bytes that are in `buffer`."""
        data, self.buffer = self.buffer[:limit], self.buffer[limit:]
        return data

    def fill_buffer(self, count: int) -> bool:
        """Whether so many bytes are in `buffer`, after what has come of them was taken in."""
        early, self.buffer = self.buffer, b""
        if len(early) < count:
            early += self.try_receive(count - len(early)) or b""
        self.buffer = early
        return len(early) >= count

    def readable(self) -> Awaitable[None]:
        """Wait until something may have come: whether it has, `try_receive` tells."""
        self._began = 0.0
        if not self._backoff:
            return trio.lowlevel.checkpoint()
        self._backoff -= 1
        return trio.lowlevel.wait_readable(self.sock)

    def send_now(self, data: bytes | memoryview) -> bytes | memoryview:
        """Send what can be sent without waiting; what is left."""
        try:
            sent = self.sock.send(data)
        except BlockingIOError:
            return data
        return b"" if sent == len(data) else memoryview(data)[sent:]

    async def send(self, data: bytes | memoryview) -> None:
        """Send all of it."""
        rest = self.send_now(data)
        if not rest:
            await self.maybe_checkpoint()
        while rest:
            self._began = 0.0
            await trio.lowlevel.wait_writable(self.sock)
            rest = self.send_now(rest)

    async def send_eof(self) -> None:
        """Say that nothing more will come from us; receiving goes on."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            if error.errno != errno.ENOTCONN:
                raise

    def close(self) -> None:
        """Close at once. No task may be waiting for it: whoever waited was cancelled before."""
        if not self.closed:
            self.closed = True
            self.sock.close()

    def abort(self) -> None:
        """Close so that the other side cannot take it for a proper end."""
        if not self.closed:
            try:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            finally:
                self.close()

    async def lingering_close(self) -> None:
        """Close so that the other side can still read what we sent last (RFC 9112 section 9.6).

        A plain close with unread input would make the kernel send RST, which throws away what
        the other side has not read yet. So: end our side, read on until it ends its own, then
        close. For how long, the caller has to say; if cancelled, it is closed all the same.
        """
        if self.closed:
            return
        try:
            await self.send_eof()
            self.buffer = b""
            await self.readable()
            while await self.receive():
                pass
        except OSError:
            self.abort()  # The other side is gone, and with it whoever could read our last words.
        finally:
            self.close()

    async def maybe_checkpoint(self) -> None:
        """A checkpoint now and then, for calls that succeed so often that they never wait."""
        now = time.perf_counter()
        if not self._began:
            self._began = now
        elif now - self._began > SLICE:
            self._began = 0.0
            await throttle.wait()


async def dial(host: str, port: int) -> Transport:
    """Connect over TCP; raise `OSError` if that fails.

    On loopback the connection is usually there at once, and then nothing is waited for: requests
    that the gate lets go one after the other also reach the backend one after the other.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        code = sock.connect_ex((host, port))
        if code == errno.EINPROGRESS:
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if not code and not _is_connected(sock):
                await trio.lowlevel.wait_writable(sock)
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, errno.errorcode.get(code, "cannot connect"))
    except BaseException:
        sock.close()
        raise
    return Transport(sock)


def _is_connected(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True
