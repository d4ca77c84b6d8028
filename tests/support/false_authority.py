"""An HTTPS server in the place of an ACME authority, which answers what a test wants.

Requests that the test does not answer are passed on to pebble, whose responses may be changed.
"""

import http.client
import json
import ssl
import threading
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import trustme
from attrs import Factory, define, frozen

from tests.support.pebble import LOOPBACK, Pebble
from tests.support.site import free_ports
from tests.waiting import PATIENCE

HOP_BY_HOP = {"connection", "content-length", "transfer-encoding", "date", "server"}


@frozen
class Asked:
    """A request to the authority."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    raw: Any
    """The socket, for responses that are not HTTP."""


@frozen
class FalseReply:
    """A response of the authority."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = Factory(lambda: {"Content-Type": "application/json"})


Answer = Callable[[Asked], FalseReply | None]
Change = Callable[[Asked, FalseReply], FalseReply]


@define
class FalseAuthority:
    """A running server."""

    port: int
    root: Path
    pebble: Pebble | None = None
    answer: Answer = lambda _: None
    change: Change = lambda _, reply: reply
    asked: list[Asked] = Factory(list)

    @property
    def url(self) -> str:
        return f"https://{LOOPBACK}:{self.port}/dir"

    def orders(self) -> list[dict[str, Any]]:
        """What was ordered (RFC 8555 section 7.4)."""
        return [payload_of(asked) for asked in self.asked if asked.path == "/order-plz"]

    def respond(self, asked: Asked) -> FalseReply:
        self.asked.append(asked)
        if (reply := self.answer(asked)) is not None:
            return reply
        assert self.pebble is not None
        return self.change(asked, self._pass_on(asked, self.pebble))

    def _pass_on(self, asked: Asked, pebble: Pebble) -> FalseReply:
        context = ssl.create_default_context(cafile=str(pebble.server_root))
        connection = http.client.HTTPSConnection(
            LOOPBACK, pebble.port, timeout=PATIENCE, context=context
        )
        try:
            connection.request(asked.method, asked.path, asked.body, dict(asked.headers))
            response = connection.getresponse()
            fields = response.getheaders()
            kept = {name: value for name, value in fields if name.lower() not in HOP_BY_HOP}
            return FalseReply(response.read(), response.status, kept)
        finally:
            connection.close()


def payload_of(asked: Asked) -> dict[str, Any]:
    """What a signed request says (RFC 8555 section 6.2)."""
    payload: dict[str, Any] = json.loads(
        urlsafe_b64decode(json.loads(asked.body)["payload"] + "==")
    )
    return payload


@contextmanager
def false_authority(
    directory: Path, pebble: Pebble | None = None, *names: str, answer: Answer = lambda _: None
) -> Iterator[FalseAuthority]:
    """A server until the block ends, with a certificate for these names, or for loopback."""
    directory.mkdir(exist_ok=True)
    ca = trustme.CA()
    ca.cert_pem.write_to_path(directory / "false-root.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(*(names or (LOOPBACK, "localhost"))).configure_cert(context)
    (port,) = free_ports(1)
    authority = FalseAuthority(port, directory / "false-root.pem", pebble, answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = PATIENCE

        def handle(self) -> None:
            with suppress(OSError, ValueError):  # The client ends the connection when it likes.
                super().handle()

        def respond(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            asked = Asked(self.command, self.path, dict(self.headers), body, self.connection)
            reply = authority.respond(asked)
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.status != 204 and "Transfer-Encoding" not in reply.headers:
                self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(reply.body)

        do_GET = do_POST = do_HEAD = respond

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    with _TlsServer((LOOPBACK, port), Handler) as server:
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield authority
        finally:
            server.shutdown()
            thread.join()


class _TlsServer(ThreadingHTTPServer):
    """Its threads may hang: nobody waits for them."""

    daemon_threads = True
    block_on_close = False

    def handle_error(self, *args: object) -> None:
        """Say nothing: clients refuse our certificates, and leave when they have enough."""
