"""A client's connection that speaks TLS, for everything above it a wire like any other.

What is encrypted passes through memory, and never from OpenSSL to the socket: so a wait for the
socket is always one for the direction of the call, and no call has to be repeated because of the
other direction. A record holds up to 16 KiB (RFC 8446 section 5.1), so as much may have been taken
in without being of use yet.

How it ends says what may be believed. `send_eof` and `close` say so with close_notify (RFC 8446
section 6.1); `abort` never does, and a client that ends without it has broken off.
"""

import errno
import os
import socket
import ssl
import struct
from contextlib import suppress

import trio

from blue_green.http.errors import LINGER_TIMEOUT
from blue_green.http.records import Records
from blue_green.http.transport import BLOCK, Transport
from blue_green.system import throttle

HANDSHAKES = trio.CapacityLimiter(os.cpu_count() or 1)
"""Handshakes that are computed at once, in threads: a signature with RSA takes milliseconds."""
MOST_WAITING = 500
"""Handshakes that wait for that. Those who come when there are so many are not served."""
THREADS = trio.CapacityLimiter(float("inf"))
"""Of threads there are as many as handshakes."""

MOST_TAKEN_IN = 32 * 1024
"""Bytes taken in at once."""
MOST_ENCRYPTED = 32 * 1024
"""Bytes encrypted at once, which then wait for a client that is slow to read. What the kernel has
room for does not wait, and costs less in one piece."""
MOST_OWED = 1024
"""Bytes that TLS itself has to answer, such as updates of keys. From a client that does not take
them, nothing more is taken."""
UNTIL_TAKEN = 0.05
"""Seconds between looks at whether it does."""

SO_MEMINFO = 55
MEMORY = struct.Struct("9I")
SNDBUF, WMEM_QUEUED = 3, 5
"""Of a socket's memory (linux/sock_diag.h)."""
TCP_CLOSE, TCP_CLOSE_WAIT = 7, 8
"""Of `tcpi_state` (linux/tcp.h)."""


class NotTls(Exception):
    """What came first begins no handshake, but perhaps a request."""

    def __init__(self, first: bytes) -> None:
        super().__init__("it does not speak TLS")
        self.first = first


class TlsTransport(Transport):
    """The server's end of a connection with TLS. The first `receive` also shakes hands.

    Errors are `OSError`, of which `ssl.SSLError` is one; and `NotTls` instead of the handshake.
    """

    __slots__ = (
        "_context", "_encrypted", "_incoming", "_is_hungry", "_is_idle_talk", "_is_ready",
        "_outgoing", "_records", "_tls", "_unsent",
    )  # fmt: skip

    _tls: ssl.SSLObject
    """Made when there is a handshake to compute: those who wait for that need no memory for it."""

    is_plain = False

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        super().__init__(sock)
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._context = context
        self._records = Records()
        self._is_ready = False
        """Hands were shaken, and neither side has given up since."""
        self._is_hungry = True
        """All that was given to OpenSSL has been used, as far as it goes."""
        self._is_idle_talk = False
        """It was about TLS itself, and no data: such work waits in line."""
        self._unsent = memoryview(b"")
        """What is encrypted, and on its way to the socket."""
        self._encrypted = 0
        """Bytes, of what was offered to `send_now` and not taken, that are encrypted already."""

    @property
    def encrypted_unsent(self) -> int:
        """Bytes that are encrypted and wait for the socket."""
        return len(self._unsent) + self._outgoing.pending

    def try_receive(self, limit: int = BLOCK) -> bytes | None:
        if self.buffer:
            return self.take(limit)
        if not self._is_ready:
            return b"" if self.closed else None
        for _ in range(2):
            fed = self._is_hungry
            if fed and not self._feed():
                return None
            try:
                return self._tls.read(limit)
            except ssl.SSLWantReadError:
                self._is_hungry = True
                self._is_idle_talk = fed and self._records.completed
                self._flush()  # What TLS itself has to answer, such as an update of its keys.
            except ssl.SSLZeroReturnError:
                return b""
        return None

    def _feed(self) -> bool:
        """Give OpenSSL more, if there is more and this is the time for it."""
        return not (self._is_idle_talk or self._owes_much()) and self._take_in_now() is not None

    async def readable(self) -> None:
        """Wait until `receive` could give something; the first time, shake hands."""
        if not self._is_ready:
            await self._shake_hands()
        elif self._owes_much():
            # Another task may wait until the socket is writable, and there can be only one.
            await trio.sleep(UNTIL_TAKEN)
        elif self._is_idle_talk:
            self._is_idle_talk = False
            await throttle.wait()
        elif self._is_hungry and self._records.have_more:
            await trio.lowlevel.checkpoint()
        elif self._is_hungry:
            await trio.lowlevel.wait_readable(self.sock)

    def send_now(self, data: bytes | memoryview) -> bytes | memoryview:
        """Send what can be sent without waiting; what is left.

        What is left must be offered again, or else `send` be called: the beginning of it may be
        encrypted already.
        """
        if not self._is_ready:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        rest = memoryview(data)
        while self._flush():
            rest = rest[self._encrypted :]
            self._encrypted = 0
            if not rest:
                return b""
            some = rest if len(rest) <= MOST_ENCRYPTED else rest[: self.room()]
            self._encrypted = self._tls.write(some)
        return rest

    async def send(self, data: bytes | memoryview) -> None:
        self._encrypted = 0  # What somebody left who was cancelled goes first, all the same.
        await super().send(data)

    async def send_eof(self) -> None:
        if self._is_ready:
            self._say_goodbye()
            await self._send_encrypted()
        await super().send_eof()

    def close(self) -> None:
        """Close, and say that it is the end if that can be done without waiting."""
        if self._is_ready and not self.closed:
            self._is_ready = False
            with suppress(OSError):  # The other side is gone, and need not be told.
                self._say_goodbye()
                self._flush()
        super().close()

    def abort(self) -> None:
        self._is_ready = False
        super().abort()

    async def _shake_hands(self) -> None:
        """Agree on keys; or else close the connection, if the other side cannot or will not."""
        first = await self._take_in()
        if first[:1].isalpha():  # A record begins with a small number.
            raise NotTls(first)
        if not first:
            await self._give_up()
        elif HANDSHAKES.statistics().tasks_waiting >= MOST_WAITING:
            self.abort()
        while not (self.closed or self._is_ready):
            try:
                await self._compute()
            except ssl.SSLWantReadError:
                await self._send_encrypted()
                await self._take_in()
            except ssl.SSLError:
                await self._send_encrypted()  # The alert that says why.
                await self._give_up()
            else:
                await self._send_encrypted()

    async def _compute(self) -> None:
        """Do the next part of the handshake, if the other side is still there to wait for it."""
        async with HANDSHAKES:
            if has_gone(self.sock):
                self.abort()
                return
            if not hasattr(self, "_tls"):
                bios = self._incoming, self._outgoing
                self._tls = self._context.wrap_bio(*bios, server_side=True)
            await trio.to_thread.run_sync(self._tls.do_handshake, limiter=THREADS)
            self._is_ready = True

    async def _take_in(self) -> bytes:
        """Wait for more of what is encrypted, or for the end of it."""
        while (data := self._take_in_now()) is None:
            await trio.lowlevel.wait_readable(self.sock)
        await self.maybe_checkpoint()
        return data

    def _take_in_now(self) -> bytes | None:
        """More of what is encrypted, nothing at its end, and None if there is none yet."""
        if not self._records.have_more:
            try:
                data = self.sock.recv(MOST_TAKEN_IN)
            except BlockingIOError:
                return None
            self._records.add(data)
            if data and not self._records.have_more:
                return None
        portion = self._records.portion()
        if portion:
            self._incoming.write(portion)
        else:
            self._incoming.write_eof()
        self._is_hungry = False
        return portion

    def _owes_much(self) -> bool:
        """Whether the client does not take what TLS has to answer to it."""
        return self._outgoing.pending > MOST_OWED and not self._flush()

    async def _give_up(self) -> None:
        """Close the connection in the way of a plain one."""
        plain = Transport(self.sock)
        self.closed = True
        try:
            with trio.move_on_after(LINGER_TIMEOUT):
                await plain.lingering_close()
        finally:
            plain.close()

    def room(self) -> int:
        """How many bytes to encrypt at once, of which the socket is sure to take all but a few."""
        info = MEMORY.unpack(self.sock.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, MEMORY.size))
        # The kernel counts what it keeps the bytes in, too: that is less than twice as much.
        room: int = (info[SNDBUF] - info[WMEM_QUEUED]) // 2
        return max(MOST_ENCRYPTED, min(BLOCK, room))

    def _flush(self) -> bool:
        """Send what is encrypted, without waiting; whether all of it is gone."""
        while self._unsent or self._outgoing.pending:
            if not self._unsent:
                self._unsent = memoryview(self._outgoing.read())
            try:
                count = self.sock.send(self._unsent)
            except BlockingIOError:
                return False
            self._unsent = self._unsent[count:]
        return True

    async def _send_encrypted(self) -> None:
        while not self._flush():
            self._began = 0.0
            await trio.lowlevel.wait_writable(self.sock)

    def _say_goodbye(self) -> None:
        """Leave a close_notify to be sent. What the other side still says can be received."""
        with suppress(ssl.SSLError):  # There is no more to read, or no more that can be read.
            while data := self._tls.read(BLOCK):  # OpenSSL would take it for an error afterwards.
                self.buffer += data
        with suppress(ssl.SSLError):  # The other side has not said goodbye, too.
            self._tls.unwrap()


def has_gone(sock: socket.socket) -> bool:
    """Whether the other side has ended the connection, whatever it said before (tcp(7))."""
    try:
        state = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    except OSError:  # It is no TCP.
        return False
    return state in (TCP_CLOSE, TCP_CLOSE_WAIT)
