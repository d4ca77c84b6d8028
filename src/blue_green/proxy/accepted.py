"""Make a client of an accepted socket."""

import socket

from blue_green.certificates.pem import HTTP1, HTTP2
from blue_green.certificates.table import CertificateTable
from blue_green.config.process_settings import ProxySettings
from blue_green.http.connected import plain_address
from blue_green.http.tls import TlsTransport
from blue_green.http.transport import Transport
from blue_green.proxy.client import Client
from blue_green.proxy.remote import Remote, Trust


def client_of(
    sock: socket.socket,
    address: object,
    trust: Trust,
    certificates: CertificateTable | None,
    settings: ProxySettings,
    *,
    redirects: bool,
) -> Client:
    """The client at this address (from `accept`), which speaks TLS if there are certificates.

    Raises `OSError` if it has disconnected.
    """
    sock.setblocking(False)
    host = ""
    if isinstance(address, tuple):
        host = plain_address(address[0])
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if certificates is None:
        return Client(Transport(sock), Remote(host, trust=trust), redirects=redirects)
    protocols = HTTP2 if settings.http2.enabled else HTTP1
    transport = TlsTransport(sock, certificates, protocols)
    return Client(transport, Remote(host, trust=trust, scheme=b"https"))
