"""An authority that answers every request wrongly, in place of one that worked."""

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from attrs import field, frozen

from tests.support.pebble import LOOPBACK, Pebble


@frozen
class WrongAnswer:
    """What it answers."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(factory=dict)


@contextmanager
def broken_authority(pebble: Pebble, answer: WrongAnswer) -> Iterator[None]:
    """Stop pebble; until the block ends, its address gives this answer to everything."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(answer.body)))
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        do_HEAD = do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    pebble.stop()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pebble.directory / "server.pem", pebble.directory / "server-key.pem")
    with ThreadingHTTPServer((LOOPBACK, pebble.port), Answers) as server:
        server.daemon_threads = True
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
