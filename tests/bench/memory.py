"""What the supervisor's memory grows by for each request that is held, and each idle connection."""

import socket
import ssl
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from pathlib import Path

from attrs import frozen
from hpack import Encoder

from blue_green.http2 import frames
from tests.bench.held import memory, raise_file_limit
from tests.bench.peers import blue_green
from tests.bench.tls import write_pem

APP = Path(__file__).parent / "late_app.py"
HELD, IDLE = 5000, 2000
STREAMS = 100
"""On each connection of HTTP/2."""
WARM_UP = 200
SETTLE = 2.0
"""Seconds in which the last ones get to where they wait."""

Connect = Callable[[int], socket.socket]


@frozen
class MemoryRow:
    """A kind of connection, and how many requests it sends that are held."""

    name: str
    connect: Connect
    connections: int
    requests: int = 0
    """On each connection."""
    is_http2: bool = False
    is_tls: bool = True

    def measure(self, directory: Path) -> float:
        """Bytes for each request, or for each connection if there are none."""
        never = directory / "never"
        pem = write_pem(directory) if self.is_tls else None
        command = [sys.executable, str(APP), "{port}", str(never)]
        with (
            blue_green(directory, 0, command=command, pem=pem, http2=self.is_http2) as (port, pid),
            ExitStack() as clients,
        ):
            self._open(port, WARM_UP // (self.requests or 1) + 1, clients)
            time.sleep(SETTLE)
            before = memory(pid)
            self._open(port, self.connections, clients)
            time.sleep(SETTLE)
            return (memory(pid) - before) / (self.connections * (self.requests or 1))

    def _open(self, port: int, count: int, clients: ExitStack) -> None:
        for _ in range(count):
            sock = clients.enter_context(self.connect(port))
            if self.is_http2:
                sock.sendall(_http2(self.requests))
            elif self.requests:
                sock.sendall(b"GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n")


def table(directory: Path) -> None:
    """Measure and print."""
    raise_file_limit()
    rows = [
        MemoryRow("held: HTTP/1.1", _plain, HELD, 1, is_tls=False),
        MemoryRow("held: HTTP/1.1 with TLS", _tls, HELD, 1),
        MemoryRow("held: HTTP/2, of 100 streams", _http2_tls, HELD // STREAMS, STREAMS, True),
        MemoryRow("idle: HTTP/1.1", _plain, IDLE, is_tls=False),
        MemoryRow("idle: HTTP/1.1 with TLS", _tls, IDLE),
        MemoryRow("idle: HTTP/2", _http2_tls, IDLE, is_http2=True),
    ]
    print(f"\n{'memory for each':<32}")
    for row in rows:
        print(f"{row.name:<32}{row.measure(directory) / 1024:>8.1f} KB", flush=True)


def _plain(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), 10)


def _tls(port: int) -> socket.socket:
    return _context("http/1.1").wrap_socket(_plain(port))


def _http2_tls(port: int) -> socket.socket:
    return _context("h2").wrap_socket(_plain(port))


@cache
def _context(protocol: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols([protocol])
    return context


def _http2(requests: int) -> bytes:
    """The preface, and so many requests."""
    encoder = Encoder()
    fields = [(":method", "GET"), (":scheme", "https"), (":authority", "localhost")]
    sent = [frames.PREFACE, frames.write_settings([])]
    for number in range(requests):
        block = encoder.encode([*fields, (":path", "/page")])
        flags = frames.END_HEADERS | frames.END_STREAM
        sent.append(frames.write_frame(frames.HEADERS, flags, 2 * number + 1, block))
    return b"".join(sent)
