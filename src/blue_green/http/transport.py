"""A connected socket: calls are tried first and waited for second.

Sockets rather than trio's streams, because trying `recv` and `send` before waiting saves most of
the event loop's turns for a proxy on one machine, where the other side is usually ready.

On a busy site a speculative read in the event loop's next turn is cheaper than waiting for
readiness: by then most responses have arrived. After one that found nothing, the next few reads
wait for readiness, so that little is lost where it does not pay.
"""

import errno
import fcntl
import os
import socket
import struct
import sys
import termios
import time
from collections.abc import Awaitable

import trio

from blue_green.config.kinds import Endpoint
from blue_green.http.connected import has_gone
from blue_green.system import throttle

BLOCK = 128 * 1024
SLICE = 0.0005
"""Seconds for which calls may succeed one after another without a checkpoint."""
SPECULATION_BACKOFF = 8
"""Waits for readiness after a speculative read that found nothing."""
STALLED = 1.0
"""Seconds in which a connection that is not broken takes some of what it was sent."""
ACKNOWLEDGED_POLL = 0.02
BACKLOG_PAUSE = 0.01
"""Seconds between attempts to connect to a Unix socket whose backlog is full."""

CREDENTIALS = struct.Struct("iII")
"""`struct ucred`: a process, its user and its group."""
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: close() then sends RST and not FIN (socket(7))."""


class Transport:
    """One end of a connection, with a buffer for bytes that were received too early.

    Errors are those of the socket (`OSError`). Only one task may receive, and only one send.
    """

    __slots__ = ("_backoff", "_began", "buffer", "closed", "sock")

    is_plain = True
    """Bytes go on the socket as they are, so that it may also be written to directly."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.buffer = b""
        """Bytes that were received and not used yet: the next `receive` returns them first."""
        self.closed = False
        self._began = 0.0
        """When the first call succeeded since it last waited (`time.perf_counter`); 0: none has."""
        self._backoff = 0

    @property
    def protocol(self) -> str | None:
        """The protocol that the client and we have agreed on in a TLS handshake (ALPN), if any."""
        return None

    async def receive(self, limit: int = BLOCK) -> bytes:
        """Up to `limit` bytes, as soon as there are any; nothing at the end."""
        while (data := self.try_receive(limit)) is None:
            await self.readable()
        await self.maybe_checkpoint()
        return data

    def try_receive(self, limit: int = BLOCK) -> bytes | None:
        """Up to `limit` bytes if there are any, nothing at the end; None if it has to wait."""
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
        """Receive into `buffer` without waiting; whether it then has so many bytes."""
        early, self.buffer = self.buffer, b""
        if len(early) < count:
            early += self.try_receive(count - len(early)) or b""
        self.buffer = early
        return len(early) >= count

    def readable(self) -> Awaitable[None]:
        """Wait until something may have arrived; `try_receive` finds out."""
        self._began = 0.0
        if not self._backoff:
            return trio.lowlevel.checkpoint()
        self._backoff -= 1
        return trio.lowlevel.wait_readable(self.sock)

    def send_now(self, data: bytes | memoryview, flags: int = 0) -> bytes | memoryview:
        """Send what can be sent without waiting; return the rest. For the flags, see send(2)."""
        try:
            sent = self.sock.send(data, flags)
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
        """Shut down our sending side; receiving goes on."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            if error.errno != errno.ENOTCONN:
                raise

    def close(self) -> None:
        """Close at once. No task may be waiting for the socket."""
        if not self.closed:
            self.closed = True
            self.sock.close()

    def abort(self) -> None:
        """Close with a reset, so that the other side cannot take it for a proper end."""
        if not self.closed:
            try:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            finally:
                self.close()

    async def lingering_close(self, *, expects_more: bool = True) -> None:
        """Close after the other side has read what we sent last (RFC 9112 section 9.6).

        A plain close with unread input would make the kernel send RST, which throws away what
        the other side has not read yet. So: shut down our side, read on until it closes its own,
        then close. The caller limits the time; if cancelled, it is closed all the same.

        Unless the caller `expects_more` input, this closes at once if nothing is unread.
        """
        if self.closed:
            return
        try:
            await self.send_eof()
            if expects_more or self._has_unread():
                self.buffer = b""
                await self.readable()
                while await self.receive():
                    pass
        except OSError:
            self.abort()  # The other side is gone, and cannot read it any more.
        finally:
            self.close()

    async def until_acknowledged(self) -> None:
        """Wait until the other side has received everything, or has received nothing for a second.

        If it sends something after a close, the kernel throws away what it has not received yet.
        """
        left, since = -1, trio.current_time()
        while not has_gone(self.sock) and (unacknowledged := _unacknowledged(self.sock)):
            if unacknowledged != left:
                left, since = unacknowledged, trio.current_time()
            elif trio.current_time() - since > STALLED:
                return
            await trio.sleep(ACKNOWLEDGED_POLL)

    def _has_unread(self) -> bool:
        try:
            return bool(self.buffer or self.sock.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return False

    async def maybe_checkpoint(self) -> None:
        """A checkpoint after many calls that succeeded without waiting."""
        now = time.perf_counter()
        if not self._began:
            self._began = now
        elif now - self._began > SLICE:
            self._began = 0.0
            await throttle.wait()


def _unacknowledged(sock: socket.socket) -> int:
    """Bytes in the send queue that the other side has not acknowledged; see tcp(7), SIOCOUTQ."""
    packed = fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4))
    return int.from_bytes(packed, sys.byteorder)


async def dial(address: Endpoint, owner: int | None = None) -> Transport:
    """Connect to a TCP port or a Unix socket; raise `OSError` if that fails.

    A Unix socket must have been opened by a program of the user `owner`, unless that is None.

    On this machine the connection is usually established at once, without a checkpoint: so requests
    reach the backend in the order in which the gate released them.
    """
    sock = socket.socket(_family(address), socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        connect = _connect_tcp if address.path is None else _connect_unix
        if code := await connect(sock, address):
            raise OSError(code, os.strerror(code))
        if owner is not None and address.path is not None:
            _check_owner(sock, owner)
    except BaseException:
        sock.close()
        raise
    return Transport(sock)


def _family(address: Endpoint) -> socket.AddressFamily:
    if address.path is not None:
        return socket.AF_UNIX
    return socket.AF_INET6 if ":" in address.host else socket.AF_INET


async def _connect_tcp(sock: socket.socket, address: Endpoint) -> int:
    """Connect; the error number, or 0."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    code = sock.connect_ex((address.host, address.port))
    if code == errno.EINPROGRESS:
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if not code and not _is_connected(sock):
            await trio.lowlevel.wait_writable(sock)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return code


async def _connect_unix(sock: socket.socket, address: Endpoint) -> int:
    """Connect; the error number, or 0.

    While the backlog of the listener is full, the kernel neither queues the connection nor reports
    when there is room (EAGAIN, connect(2)).
    """
    while (code := sock.connect_ex(str(address.path))) == errno.EAGAIN:
        await trio.sleep(BACKLOG_PAUSE)
    return code


def _check_owner(sock: socket.socket, owner: int) -> None:
    """Raise `PermissionError` if another user listens on the Unix socket (SO_PEERCRED, unix(7))."""
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    pid, uid, _ = CREDENTIALS.unpack(credentials)
    if uid != owner:
        why = f"pid {pid} of user {uid} listens there, and not a program of user {owner}"
        raise PermissionError(errno.EACCES, why)


def _is_connected(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True
