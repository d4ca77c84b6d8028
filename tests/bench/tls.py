"""Requests a second over TLS, and what handshakes cost.

All have the same ECDSA P-256 certificate. The clients offer TLS 1.3 and no ALPN, so the protocol is
HTTP/1.1. Encryption and handshakes cost a client as much as a proxy, so on one core the load
generator would often be the slower one of the two. So the figures are for a second of the proxy's
CPU, and not of the clock: what the proxy could serve if it were never waiting.

wrk cannot be kept from resuming sessions, and would not show that a proxy refuses to. `openssl
s_time` does one or the other, and shows for each connection what happened.
"""

import subprocess
from pathlib import Path

import trustme
from attrs import frozen

from tests.bench.comparison import Measured, compare
from tests.bench.peers import LOAD_CORE, PEERS, WITH_LOG, cpu_seconds
from tests.bench.throughput import BROWSER, Row, wrk

CLIENTS = 16
REQUEST = "/small HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Rest:"
"""What `s_time -www` gets as a path, since it would send a request of HTTP/1.0 otherwise."""
FULL, RESUMED = "*", "r"
"""What `s_time` prints for each connection."""
MOSTLY = 0.95
"""The share of handshakes that must be of the wanted kind: the first ones can resume nothing."""


@frozen
class PerCpuSecond:
    """A kind of request on connections that are kept alive, for a second of the server's CPU."""

    row: Row
    scheme: str = "http"

    @property
    def name(self) -> str:
        return self.row.name

    @property
    def unit(self) -> str:
        return self.row.unit

    def measure(self, port: int, pid: int, directory: Path, seconds: float) -> float:
        before = cpu_seconds(pid)
        rate = wrk(self.row, f"{self.scheme}://127.0.0.1:{port}", directory, seconds)
        return rate * seconds / (cpu_seconds(pid) - before)


@frozen
class Handshakes:
    """A new connection for each request, with full or with resumed handshakes."""

    name: str
    option: str
    wanted: str
    unit: str = "requests/s"

    def measure(self, port: int, pid: int, directory: Path, seconds: float) -> float:
        words = ["taskset", "-c", LOAD_CORE, "openssl", "s_time", self.option, "-tls1_3"]
        words += ["-connect", f"127.0.0.1:{port}", "-www", REQUEST, "-time", f"{seconds:.0f}"]
        before = cpu_seconds(pid)
        clients = [
            subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(CLIENTS)
        ]
        shown = [client.communicate(timeout=60)[0] for client in clients]
        spent = cpu_seconds(pid) - before
        # Of the lines, only those with one letter for each connection have no spaces.
        kinds = "".join(line for text in shown for line in text.splitlines() if " " not in line)
        made, wanted = kinds.count(FULL) + kinds.count(RESUMED), kinds.count(self.wanted)
        assert wanted > MOSTLY * made, f"{self.name}: only {wanted} of {made} were of that kind"
        return made / spent


ROWS: list[Measured] = [
    PerCpuSecond(Row("small, bare head", "/small"), "https"),
    PerCpuSecond(Row("small, unique browser heads", "/small", script=BROWSER), "https"),
    PerCpuSecond(Row("100 KB", "/100k"), "https"),
    PerCpuSecond(Row("100 MB", "/100m", connections=4, unit="MB/s"), "https"),
    Handshakes("new connection, full", "-new", FULL),
    Handshakes("new connection, resumed", "-reuse", RESUMED),
]


def table(directory: Path, rounds: int, seconds: float, only: str) -> None:
    """Measure and print."""
    rows = [row for row in ROWS if only in row.name]
    pem = write_pem(directory)
    compare(
        [peer for peer in PEERS if peer is not WITH_LOG], rows, directory, rounds, seconds, pem=pem
    )


def write_pem(directory: Path) -> Path:
    """A new certificate and its key, in one file."""
    pem = directory / "certificate.pem"
    pem.touch(mode=0o600)
    issued = trustme.CA().issue_cert("localhost", "127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(pem)
    return pem
