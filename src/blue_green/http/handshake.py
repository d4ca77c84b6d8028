"""The server's side of a TLS handshake, from the client's first byte to the TLS object."""

import os
import socket
import ssl

import trio

from blue_green.certificates.table import CertificateTable
from blue_green.http.records import Records

HANDSHAKES = trio.CapacityLimiter(os.cpu_count() or 1)
"""Handshakes computed at once, in threads: an RSA signature takes milliseconds."""
MOST_WAITING = 500
"""Handshakes that wait for a thread. Connections beyond these are closed."""
THREADS = trio.CapacityLimiter(float("inf"))
"""No limit for threads, since `HANDSHAKES` limits them already."""
MOST_RECEIVED = 32 * 1024
"""Bytes received at once."""

TCP_CLOSE, TCP_CLOSE_WAIT = 7, 8
"""Values of `tcpi_state` (linux/tcp.h)."""


class NotTls(Exception):
    """The first bytes are not a handshake, but may be a request."""

    def __init__(self, first: bytes) -> None:
        super().__init__("it does not speak TLS")
        self.first = first


class Handshake:
    """One handshake. What `records` and `outgoing` hold at its end belongs to the connection."""

    __slots__ = ("_certificates", "_incoming", "_outgoing", "_records", "_sock")

    def __init__(
        self,
        sock: socket.socket,
        certificates: CertificateTable,
        records: Records,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
    ) -> None:
        self._sock = sock
        self._certificates = certificates
        self._records = records
        self._incoming = incoming
        self._outgoing = outgoing

    async def run(self) -> ssl.SSLObject:
        """Do the handshake.

        Raises `NotTls`; `ssl.SSLError` if it failed and the client may still read the alert; other
        kinds of `OSError` if nobody is there to read it, or if too many wait.
        """
        first = await self._receive()
        if first[:1].isalpha():  # A record begins with a small number.
            raise NotTls(first)
        if not first:
            raise ssl.SSLEOFError("the client has sent nothing")
        if HANDSHAKES.statistics().tasks_waiting >= MOST_WAITING:
            raise ConnectionAbortedError("too many handshakes wait")
        tls: ssl.SSLObject | None = None
        while True:
            try:
                async with HANDSHAKES:
                    if has_gone(self._sock):
                        raise ConnectionResetError("the client has disconnected")
                    # Made this late, since one that waits for a thread needs no memory for it.
                    tls = tls or self._certificates.base.wrap_bio(
                        self._incoming, self._outgoing, server_side=True
                    )
                    await trio.to_thread.run_sync(tls.do_handshake, limiter=THREADS)
            except ssl.SSLWantReadError:
                await self._send()
                await self._receive()
            except ssl.SSLError:
                await self._send()  # The alert that says why.
                raise
            else:
                await self._send()
                return tls

    async def _receive(self) -> bytes:
        """Wait for more encrypted bytes, or for their end, and pass a few records to OpenSSL."""
        while not self._records.have_more:
            try:
                data = self._sock.recv(MOST_RECEIVED)
            except BlockingIOError:
                await trio.lowlevel.wait_readable(self._sock)
                continue
            self._records.add(data)
            if not data:
                break
        if portion := self._records.portion():
            self._incoming.write(portion)
        else:
            self._incoming.write_eof()
        return portion

    async def _send(self) -> None:
        """Send what OpenSSL has for the client."""
        rest = memoryview(self._outgoing.read())
        while rest:
            try:
                rest = rest[self._sock.send(rest) :]
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._sock)


def has_gone(sock: socket.socket) -> bool:
    """Whether the other side has closed the connection, even if unread bytes remain (tcp(7))."""
    try:
        state = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    except OSError:  # It is not TCP.
        return False
    return state in (TCP_CLOSE, TCP_CLOSE_WAIT)
