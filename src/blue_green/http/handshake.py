"""The server's side of a TLS handshake, from the client's first byte to the TLS object.

The ClientHello is read first, since the certificate depends on it, and where the handshake is
computed does, too: in the event loop if that takes a fraction of a millisecond, a few steps in each
of its iterations, because a thread would cost more; else in a thread. The last step of TLS 1.3
takes less time than a request, so it is computed at once.
"""

import os
import random
import socket
import ssl

import trio

from blue_green.certificates.table import CertificateTable
from blue_green.http.certificate_choice import (
    CertificateAwaited,
    Choice,
    choose,
    wait_for_certificate,
)
from blue_green.http.client_hello import (
    APPLICATION_DATA,
    CHANGE_CIPHER_SPEC,
    MOST_BYTES,
    RECORD_HEADER,
    ClientHello,
    HandshakeAlert,
    read_hello,
)
from blue_green.http.connected import has_gone
from blue_green.http.records import Records
from blue_green.http.turns import Turns

IN_LOOP = Turns()
"""Turns for the steps of handshakes that are computed in the event loop."""
IN_THREADS = trio.CapacityLimiter(os.cpu_count() or 1)
"""Handshakes computed at once in threads: an RSA signature takes a millisecond."""
MOST_WAITING = 500
"""Handshakes that wait for either of these. Connections beyond these are closed."""
USUAL_PIECES = 4
"""A ClientHello takes one packet or two. One that comes in as many pieces is received slowly:
thousands of clients that send a byte now and then must not keep the event loop busy."""
PAUSE_BETWEEN_PIECES = 0.5
"""Seconds, on average."""
THREADS = trio.CapacityLimiter(float("inf"))
"""No limit for threads, since `IN_THREADS` limits them already."""


class NotTls(Exception):
    """The first bytes are not a handshake, but may be a request."""

    def __init__(self, first: bytes) -> None:
        super().__init__("it does not speak TLS")
        self.first = first


class HandshakeOver(Exception):
    """There will be no data, but the client may still read what it was sent."""


class Handshake:
    """One handshake. What `records` and `outgoing` hold at its end belongs to the connection."""

    __slots__ = (
        "_awaited",
        "_certificates",
        "_hello",
        "_incoming",
        "_outgoing",
        "_protocols",
        "_records",
        "_sock",
    )

    def __init__(
        self,
        sock: socket.socket,
        certificates: CertificateTable,
        records: Records,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        *,
        protocols: tuple[str, ...],
    ) -> None:
        self._sock = sock
        self._certificates = certificates
        self._protocols = protocols
        self._records = records
        self._incoming = incoming
        self._outgoing = outgoing
        self._hello: ClientHello | None = None
        self._awaited: trio.Event | None = None

    async def run(self) -> ssl.SSLObject:
        """Do the handshake.

        Raises `CertificateAwaited`, and goes on when called again. Raises `NotTls`; `HandshakeOver`
        if it has failed, or was for a challenge; `OSError` if there is nobody to read an alert, or
        if too many wait.
        """
        try:
            if self._hello is None:
                self._hello = await self._receive_hello()
            if self._awaited is not None:
                await wait_for_certificate(self._awaited, self._sock)
            choice = self._choose(self._hello)
            tls = await self._compute(choice)
        except HandshakeAlert as alert:
            await self._send(alert.record)
            raise HandshakeOver(str(alert)) from None
        except ssl.SSLError as error:
            await self._send(self._outgoing.read())  # The alert that says why.
            raise HandshakeOver(str(error)) from None
        if choice.is_challenge:
            await self._send(self._outgoing.read())
            raise HandshakeOver("it was for a challenge")
        if tls.version() != "TLSv1.3":  # Else what is left is a session ticket, which can wait.
            await self._send(self._outgoing.read())
        return tls

    async def _receive_hello(self) -> ClientHello:
        data, pieces = b"", 0
        while True:
            try:
                more = self._sock.recv(MOST_BYTES)
            except BlockingIOError:
                await trio.lowlevel.wait_readable(self._sock)
                continue
            if not more:
                raise HandshakeOver("the client has sent no ClientHello")
            data += more
            if data[:1].isalpha():  # A record begins with a small number.
                raise NotTls(data)
            if (hello := read_hello(data)) is not None:
                self._records.add(data)
                self._incoming.write(self._records.portion())
                return hello
            pieces += 1
            if pieces < USUAL_PIECES:
                await trio.lowlevel.checkpoint()
            else:  # At random, so that thousands of these do not go on at one moment.
                await trio.sleep(PAUSE_BETWEEN_PIECES * (0.5 + random.random()))

    def _choose(self, hello: ClientHello) -> Choice:
        try:
            return choose(hello, self._certificates, self._sock, self._protocols)
        except CertificateAwaited as awaited:
            if self._awaited is not None:
                raise HandshakeAlert(ssl.ALERT_DESCRIPTION_INTERNAL_ERROR) from None
            self._awaited = awaited.coming
            raise

    async def _compute(self, choice: Choice) -> ssl.SSLObject:
        threads = IN_THREADS.statistics
        if (IN_LOOP.waiting if choice.is_quick else threads().tasks_waiting) >= MOST_WAITING:
            raise ConnectionAbortedError("too many handshakes wait")
        tls: ssl.SSLObject | None = None
        is_brief = False  # The next step takes no longer than a request does.
        while True:
            if choice.is_quick and not is_brief:
                await IN_LOOP.wait()
            if choice.is_quick or is_brief:
                tls = self._begin(choice, tls)
                is_complete = take_step(tls)
            else:
                async with IN_THREADS:
                    tls = self._begin(choice, tls)
                    is_complete = await trio.to_thread.run_sync(take_step, tls, limiter=THREADS)
            if is_complete:
                return tls
            if sent := self._outgoing.read():
                await self._send(sent)
                is_brief = is_encrypted(sent)
            await self._receive()

    def _begin(self, choice: Choice, tls: ssl.SSLObject | None) -> ssl.SSLObject:
        """The TLS object. It is made as late as this, since it takes memory.

        Raises `OSError` if the client has disconnected, before any work is done for it.
        """
        if has_gone(self._sock):
            raise ConnectionResetError("the client has disconnected")
        if tls is None:
            tls = choice.sessions.wrap_bio(self._incoming, self._outgoing, server_side=True)
            tls.context = choice.context
        return tls

    async def _receive(self) -> None:
        """Wait for more encrypted bytes, or for their end, and pass a few records to OpenSSL."""
        while not self._records.have_more:
            # It answers what it was just sent, so nothing can have arrived yet.
            await trio.lowlevel.wait_readable(self._sock)
            try:
                data = self._sock.recv(MOST_BYTES)
            except BlockingIOError:
                continue
            self._records.add(data)
            if not data:
                break
        if portion := self._records.portion():
            self._incoming.write(portion)
        else:
            self._incoming.write_eof()

    async def _send(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._sock.send(rest) :]
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._sock)


def is_encrypted(flight: bytes) -> bool:
    """Whether the server's messages end in encrypted ones, and so include all that take long.

    The first record of TLS 1.3 is not encrypted, and a change_cipher_spec may follow.
    """
    at = RECORD_HEADER + int.from_bytes(flight[3:RECORD_HEADER])
    if flight[at : at + 1] == CHANGE_CIPHER_SPEC:
        at += RECORD_HEADER + 1
    return flight[at : at + 1] == APPLICATION_DATA


def take_step(tls: ssl.SSLObject) -> bool:
    """Go on with the handshake as far as the input allows; whether it is complete.

    An exception that leaves a thread would stay in a reference cycle.
    """
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True
