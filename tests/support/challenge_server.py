"""Answers the challenges of an authority, as the proxy does, for tests that run none."""

import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler

from attrs import Factory, frozen

from blue_green.certificates.challenges import ACME_TLS, Challenges
from tests.support.site import free_ports

PATH = "/.well-known/acme-challenge/"


@frozen
class ChallengeServer:
    """Where challenges are answered."""

    http_port: int
    tls_port: int
    answered: list[str] = Factory(list)
    """The kind of each challenge that was answered."""


@contextmanager
def answering(challenges: Challenges) -> Iterator[ChallengeServer]:
    """Answer http-01 and tls-alpn-01 until the block ends."""

    class ForHttp(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = challenges.http.get(self.path.removeprefix(PATH))
            if body:
                server.answered.append("http-01")
            self.send_response(200 if body else 404)
            self.end_headers()
            self.wfile.write((body or "not found").encode())

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    class ForTls(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.set_alpn_protocols([ACME_TLS])
            context.sni_callback = choose
            try:
                context.wrap_socket(self.request, server_side=True).close()
            except OSError:
                self.request.close()

    def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> int | None:
        context = challenges.tls.get(name or "")
        if context is None:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        connection.context = context
        server.answered.append("tls-alpn-01")
        return None

    http_port, tls_port = free_ports(2)
    server = ChallengeServer(http_port, tls_port)
    with ExitStack() as stack:
        for port, handler in ((server.http_port, ForHttp), (server.tls_port, ForTls)):
            stack.enter_context(_serving(port, handler))
        yield server


@contextmanager
def _serving(port: int, handler: type[socketserver.BaseRequestHandler]) -> Iterator[None]:
    with _DualStackServer(("::", port), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


class _DualStackServer(socketserver.ThreadingTCPServer):
    """On all addresses of IPv4 and IPv6."""

    address_family = socket.AF_INET6
    allow_reuse_address = True

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()
