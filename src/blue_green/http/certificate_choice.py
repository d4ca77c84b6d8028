"""Choose the certificate for a handshake, or wait for one that is on its way."""

import socket
import ssl
from typing import NamedTuple

import trio

from blue_green.certificates.table import CertificateTable
from blue_green.http.client_hello import ClientHello, HandshakeAlert
from blue_green.http.connected import has_gone, local_address

CERTIFICATE_TIMEOUT = 30.0
"""Seconds to wait for the first certificate of a host."""
AWAITING = trio.CapacityLimiter(200)
"""Handshakes that wait for one. Connections beyond these are closed."""
LOOK_AGAIN = 1.0
"""Seconds between looks at whether a client that waits has disconnected."""
NO_APPLICATION_PROTOCOL = 120
"""An alert (RFC 7301 section 3.2)."""


class Choice(NamedTuple):
    """What a handshake is computed with."""

    sessions: ssl.SSLContext
    """The context that the TLS object is made of, which resumes sessions."""
    context: ssl.SSLContext
    """The context with the certificate."""
    is_quick: bool
    """Whether the computation needs no thread."""
    is_challenge: bool = False
    """The connection validates a challenge, and ends after its handshake (RFC 8737 section 3)."""


class CertificateAwaited(Exception):
    """The first certificate of the host is on its way. `coming` is set when the wait ends."""

    def __init__(self, coming: trio.Event) -> None:
        super().__init__("the first certificate is on its way")
        self.coming = coming


def choose(
    hello: ClientHello,
    certificates: CertificateTable,
    sock: socket.socket,
    protocols: tuple[str, ...],
) -> Choice:
    """Choose the certificate; raise `CertificateAwaited`, or `HandshakeAlert` if there is none.

    `protocols` are those that the client may use: `HTTP1` or `HTTP2`.
    """
    if hello.validates_challenge and (challenge := certificates.challenge(hello.name)):
        return Choice(challenge, challenge, is_quick=False, is_challenge=True)
    address = local_address(sock) if hello.name is None else ""
    entry = certificates.find(hello.name, address)
    if entry is None:
        raise HandshakeAlert(ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME)
    if not hello.accepts(protocols):
        raise HandshakeAlert(NO_APPLICATION_PROTOCOL)
    if (loaded := entry.loaded) is None:
        if entry.coming is not None and not entry.coming.is_set():
            raise CertificateAwaited(entry.coming)
        raise HandshakeAlert(ssl.ALERT_DESCRIPTION_INTERNAL_ERROR)
    is_quick = loaded.is_quick and hello.has_quick_groups
    return Choice(entry.sessions.context(), loaded.contexts.offering(protocols), is_quick)


async def wait_for_certificate(coming: trio.Event, sock: socket.socket) -> None:
    """Wait until it has come, or will not come for now, or has taken too long.

    Raises `OSError` if the client has disconnected, or if too many wait.
    """
    try:
        AWAITING.acquire_on_behalf_of_nowait(sock)
    except trio.WouldBlock:
        raise ConnectionAbortedError("too many handshakes wait for a certificate") from None
    try:
        with trio.move_on_after(CERTIFICATE_TIMEOUT):
            while not coming.is_set():
                with trio.move_on_after(LOOK_AGAIN):
                    await coming.wait()
                if has_gone(sock):
                    raise ConnectionResetError("the client has disconnected")
    finally:
        AWAITING.release_on_behalf_of(sock)
