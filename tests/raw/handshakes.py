"""Single handshakes with our end of TLS, without a proxy around it."""

import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import trio
from attrs import define

from blue_green.certificates.pem import HTTP1
from blue_green.certificates.table import CertificateTable
from blue_green.http.certificate_choice import CertificateAwaited
from blue_green.http.tls import TlsTransport
from tests.raw.tls_client import TlsStream, trusting
from tests.raw.waiting import patience


@define
class Connected:
    """Both ends of a connection."""

    transport: TlsTransport
    sock: trio.socket.SocketType
    """The client's end."""

    async def serve(self) -> bytes:
        """What the proxy does: receive, however often the handshake has to be called."""
        while (data := self.transport.try_receive()) is None:
            with suppress(CertificateAwaited):
                await self.transport.readable()
        return data

    async def shake(
        self,
        name: str | None = "localhost",
        context: ssl.SSLContext | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Do a handshake and exchange a byte; the client's end. Raises `ssl.SSLError`."""
        stream = TlsStream(trio.SocketStream(self.sock), context or trusting(), name, session)
        failure: ssl.SSLError | None = None
        with patience(f"a handshake with {name}", stream.tls.version):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.serve)
                try:
                    await stream.shake_hands()
                    await stream.send_all(b"a")
                except ssl.SSLError as error:
                    failure = error
                    nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure
        with patience("a byte", stream.tls.version):
            await self.transport.send(b"b")
            assert await stream.receive_some(1) == b"b"  # After the ticket.
        return stream.tls


@asynccontextmanager
async def connected(
    table: CertificateTable, host: str = "127.0.0.1", protocols: tuple[str, ...] = HTTP1
) -> AsyncIterator[Connected]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listener:
        client = socket.create_connection(listener.getsockname()[:2])
        ours, _ = listener.accept()
    ours.setblocking(False)
    transport = TlsTransport(ours, table, protocols)
    try:
        with trio.socket.from_stdlib_socket(client) as sock:
            yield Connected(transport, sock)
    finally:
        transport.abort()


def without_name() -> ssl.SSLContext:
    """A client's context that checks the authority but no name."""
    context = trusting()
    context.check_hostname = False
    return context


def names_of(tls: ssl.SSLObject) -> list[str]:
    """The names in the certificate that the client got."""
    certificate: Any = tls.getpeercert()
    return [value for _, value in certificate["subjectAltName"]]
