"""The server's end of a connection with TLS, with the interface of a plain `Transport`.

Encrypted data passes through memory, and never from OpenSSL to the socket: so a read only ever
waits for readable, a write for writable, and no call has to be repeated because of the other
direction. A record holds up to 16 KiB (RFC 8446 section 5.1); as much may have been received
without a byte of data to return.

`send_eof` and `close` send close_notify (RFC 8446 section 6.1), so that the client knows the data
is complete; `abort` does not.
"""

import errno
import os
import socket
import ssl
import struct
from contextlib import suppress

import trio

from blue_green.certificates.pem import HTTP1
from blue_green.certificates.table import CertificateTable
from blue_green.http.errors import LINGER_TIMEOUT
from blue_green.http.handshake import Handshake, HandshakeOver
from blue_green.http.records import Records
from blue_green.http.transport import BLOCK, SPECULATION_BACKOFF, Transport
from blue_green.system import throttle

MOST_RECEIVED = 32 * 1024
"""Bytes received at once."""
MOST_ENCRYPTED = 32 * 1024
"""Bytes encrypted at once when they may have to wait for a slow client. Bytes for which the kernel
has room do not wait, and cost less in one piece."""
MOST_PENDING = 1024
"""Bytes of replies of TLS itself, such as key updates, that may be pending. From a client that does
not read them, nothing more is received."""
UNTIL_TAKEN = 0.05
"""Seconds between looks at whether it has read them."""

SO_MEMINFO = 55
MEMORY = struct.Struct("9I")
SNDBUF, WMEM_QUEUED = 3, 5
"""Indices of the fields of SO_MEMINFO (linux/sock_diag.h)."""


class TlsTransport(Transport):
    """The server's end of a connection with TLS. The first `receive` also does the handshake.

    Errors are `OSError`, of which `ssl.SSLError` is one; and `NotTls` instead of the handshake.
    """

    __slots__ = (
        "_encrypted", "_handshake", "_has_ended", "_incoming", "_is_hungry", "_is_ready",
        "_is_without_data", "_outgoing", "_records", "_tls", "_unsent",
    )  # fmt: skip

    _tls: ssl.SSLObject
    """Set once the handshake is complete."""

    is_plain = False

    def __init__(
        self,
        sock: socket.socket,
        certificates: CertificateTable,
        protocols: tuple[str, ...] = HTTP1,
    ) -> None:
        """`protocols` are those that the client may use: `HTTP1` or `HTTP2`."""
        super().__init__(sock)
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._records = Records()
        self._handshake = Handshake(
            sock,
            certificates,
            self._records,
            self._incoming,
            self._outgoing,
            protocols=protocols,
        )
        self._is_ready = False
        """The handshake is complete, and neither side has closed since."""
        self._has_ended = False
        """A close_notify has been sent."""
        self._is_hungry = False
        """OpenSSL needs more input. After the handshake it may have some already."""
        self._is_without_data = False
        """The last records had no data, but were about TLS itself: such work is throttled."""
        self._unsent: bytes | memoryview = b""
        """Encrypted bytes on their way to the socket."""
        self._encrypted = 0
        """Of the bytes that `send_now` returned, how many are encrypted already."""

    @property
    def protocol(self) -> str | None:
        return self._tls.selected_alpn_protocol() if self._is_ready else None

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
                data = self._tls.read(limit)
            except ssl.SSLWantReadError:
                self._is_hungry = True
                self._is_without_data = fed and self._records.completed
                self._flush()  # Replies of TLS itself, such as a key update.
            except ssl.SSLZeroReturnError:
                return b""
            else:
                # A read ends with its record. It costs less to look than to try another one.
                has_more = len(data) == limit or self._incoming.pending
                self._is_hungry = not (has_more or self._outgoing.pending)
                return data
        return None

    def _feed(self) -> bool:
        """Give OpenSSL more input without waiting, if there is some and it may have it now."""
        if self._is_without_data or self._has_pending_replies():
            return False
        records = self._records
        if not records.have_more:
            try:
                data = self.sock.recv(MOST_RECEIVED)
            except BlockingIOError:
                self._backoff = self._backoff or SPECULATION_BACKOFF
                return False
            records.add(data)
            if data and not records.have_more:
                return False
        if portion := records.portion():
            self._incoming.write(portion)
        else:
            self._incoming.write_eof()
        self._is_hungry = False
        return True

    async def readable(self) -> None:
        """Wait until something may have arrived; the first time, do the handshake."""
        if not self._is_ready:
            await self._shake_hands()
        elif self._has_pending_replies():
            # Another task may wait until the socket is writable, and there can be only one.
            await trio.sleep(UNTIL_TAKEN)
        elif self._is_without_data:
            self._is_without_data = False
            await throttle.wait()
        elif self._is_hungry and self._records.have_more:
            await trio.lowlevel.checkpoint()
        elif self._is_hungry:
            await super().readable()

    def send_now(self, data: bytes | memoryview, flags: int = 0) -> bytes | memoryview:
        """Send what can be sent without waiting; return the rest. For the flags, see send(2).

        The rest must be passed again, or else `send` be called: its beginning may be encrypted
        already.
        """
        if not self._is_ready:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        rest = data
        # A session ticket, or another short reply of TLS itself, goes along with the data.
        is_free = not (self._encrypted or self._unsent or self._outgoing.pending > MOST_PENDING)
        while is_free or self._flush(flags):
            is_free = False
            if self._encrypted == len(rest):
                self._encrypted = 0
                return b""
            if self._encrypted:
                rest = memoryview(rest)[self._encrypted :]
            some = rest if len(rest) <= MOST_ENCRYPTED else memoryview(rest)[: self.room()]
            self._encrypted = self._tls.write(some)
        return rest

    async def send(self, data: bytes | memoryview) -> None:
        self._encrypted = 0  # After a cancelled call, its encrypted bytes still go first.
        await super().send(data)

    async def send_eof(self) -> None:
        if self._is_ready:
            self._queue_close_notify()
            await self._send_encrypted(socket.MSG_MORE)  # In one packet with the end.
            self._has_ended = True
        await super().send_eof()

    def close(self) -> None:
        """Close, with a close_notify if it can be sent without waiting."""
        if self._is_ready and not (self.closed or self._has_ended):
            with suppress(OSError):  # The other side is gone.
                self._queue_close_notify()
                self._flush()
        self._is_ready = False
        super().close()

    def abort(self) -> None:
        self._is_ready = False
        super().abort()

    async def _shake_hands(self) -> None:
        """Do the handshake, or close the connection if it fails."""
        try:
            self._tls = await self._handshake.run()
            self._is_ready = True
        except HandshakeOver:
            await self._give_up()
        except OSError:
            self.abort()

    def _has_pending_replies(self) -> bool:
        """Whether the client does not read the replies of TLS itself."""
        return self._outgoing.pending > MOST_PENDING and not self._flush()

    async def _give_up(self) -> None:
        """Close the connection like a plain one."""
        plain = Transport(self.sock)
        self.closed = True
        try:
            with trio.move_on_after(LINGER_TIMEOUT):
                await plain.lingering_close()
        finally:
            plain.close()

    def room(self) -> int:
        """Bytes to encrypt at once, of which the socket surely takes all but a few."""
        info = MEMORY.unpack(self.sock.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, MEMORY.size))
        # The kernel also counts its overhead: together that is less than twice the bytes.
        room: int = (info[SNDBUF] - info[WMEM_QUEUED]) // 2
        return max(MOST_ENCRYPTED, min(BLOCK, room))

    def _flush(self, flags: int = 0) -> bool:
        """Send encrypted bytes without waiting; whether all are sent."""
        while self._unsent or self._outgoing.pending:
            data = self._unsent or self._outgoing.read()
            try:
                count = self.sock.send(data, flags)
            except BlockingIOError:
                self._unsent = data
                return False
            self._unsent = b"" if count == len(data) else memoryview(data)[count:]
        return True

    async def _send_encrypted(self, flags: int) -> None:
        while not self._flush(flags):
            self._began = 0.0
            await trio.lowlevel.wait_writable(self.sock)

    def _queue_close_notify(self) -> None:
        """Queue a close_notify. What the other side still sends can be received."""
        with suppress(ssl.SSLError):  # There is no more to read, or no more that can be read.
            while self._tls.pending() or self._incoming.pending:
                if not (data := self._tls.read(BLOCK)):
                    break
                self.buffer += data  # OpenSSL would take it for an error afterwards.
        with suppress(ssl.SSLError):  # The other side has not sent its own.
            self._tls.unwrap()
