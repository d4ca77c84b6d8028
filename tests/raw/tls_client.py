"""The client's end of TLS, as raw as it gets, and certificates for the other end.

Like one of trio's streams, but for what those do not show: close_notify sent on its own, records
sent as they should lie on the socket, and an end that came without close_notify.
"""

import ssl
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import trio
import trustme
from attrs import frozen

from blue_green.certificates import pem
from blue_green.certificates.certificates import Certificates
from blue_green.certificates.table import CertificateTable, TableEntry
from blue_green.config.process_settings import ProxySettings, TlsSettings
from blue_green.config.settings import Settings

HOST = "localhost"


@frozen
class PemPair:
    """The files of a certificate and its key."""

    certificate: Path
    key: Path

    def certificates(self) -> Certificates:
        proxy = ProxySettings(tls=TlsSettings(self.certificate, self.key))
        return Certificates(Settings(sites=(), proxy=proxy))

    def table(self) -> CertificateTable:
        return self.certificates().table


@cache
def authority() -> trustme.CA:
    """Who signs the certificates of the tests."""
    return trustme.CA()


def write_pair(directory: Path, *names: str, **more: Any) -> PemPair:
    """A certificate for these names and its key, both new files."""
    pair = authority().issue_cert(*(names or (HOST,)), **more)
    tls = PemPair(directory / "certificate.pem", directory / "key.pem")
    with tls.certificate.open("wb") as file:
        file.writelines(blob.bytes() for blob in pair.cert_chain_pems)
    tls.key.write_bytes(pair.private_key_pem.bytes())
    tls.key.chmod(0o600)
    return tls


def trusting() -> ssl.SSLContext:
    """A client's context that trusts the authority of the tests and nobody else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority().configure_trust(context)
    return context


def entry_for(*names: str, **more: Any) -> TableEntry:
    """A certificate for these names, ready for handshakes; `more` as for `write_pair`."""
    pair = authority().issue_cert(*names, **more)
    text = b"".join(blob.bytes() for blob in (pair.private_key_pem, *pair.cert_chain_pems))
    return TableEntry(pem.load_text(text.decode(), Path("test.pem")))


def table_of(*names: str, **more: Any) -> CertificateTable:
    """A table in which each of these hosts has a certificate of its own."""
    table = CertificateTable()
    for name in names:
        table.entry(name).loaded = entry_for(name, **more).loaded
    return table


class TlsStream(trio.abc.HalfCloseableStream):
    """One end of a connection. Its errors are those of `trio.SocketStream`."""

    def __init__(
        self,
        transport: trio.SocketStream,
        context: ssl.SSLContext | None = None,
        name: str | None = HOST,
        session: ssl.SSLSession | None = None,
    ) -> None:
        """`name` is the host that it asks for; None if it sends none."""
        self.first_message = b""
        """What came first, still encrypted."""
        self.transport = transport
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        context = context or trusting()
        self.tls = context.wrap_bio(
            self._incoming, self._outgoing, server_hostname=name, session=session
        )

    @property
    def socket(self) -> trio.socket.SocketType:
        return self.transport.socket

    def setsockopt(self, *option: Any) -> None:
        self.transport.setsockopt(*option)

    async def shake_hands(self) -> None:
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._take_in()
            else:
                return await self._flush()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        rest = memoryview(data)
        while rest:  # A little at a time, so that what cannot be sent does not pile up.
            rest = rest[self.tls.write(rest[: 64 * 1024]) :]
            await self._flush()

    async def wait_send_all_might_not_block(self) -> None:
        await self.transport.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Nothing after close_notify; BrokenResourceError at an end that came without."""
        while True:
            try:
                return self.tls.read(max_bytes or 64 * 1024)
            except ssl.SSLWantReadError:
                await self._take_in()
            except ssl.SSLZeroReturnError:
                return b""
            except ssl.SSLError as error:
                raise trio.BrokenResourceError(str(error)) from error

    async def send_eof(self) -> None:
        """Send close_notify, and leave the connection itself open."""
        with suppress(ssl.SSLWantReadError):  # The other side has not sent its own yet.
            self.tls.unwrap()
        await self._flush()

    async def aclose(self) -> None:
        """Close the connection, without any word."""
        await self.transport.aclose()

    def take_encrypted(self) -> bytes:
        """What was encrypted but not sent; the caller sends it."""
        return self._outgoing.read()

    async def _flush(self) -> None:
        if data := self.take_encrypted():
            await self.transport.send_all(data)

    async def _take_in(self) -> None:
        data = await self.transport.receive_some()
        self.first_message = self.first_message or bytes(data)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
