"""Requests a second over HTTP/2, with TLS: eight connections, each with one stream or many.

All have the same ECDSA P-256 certificate. As for TLS, the figures are for a second of the proxy's
CPU. The origin is spoken to in HTTP/1.1.
"""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

from tests.bench.comparison import compare
from tests.bench.peers import LOAD_CORE, PEERS, WITH_LOG, cpu_seconds
from tests.bench.tls import write_pem

CONNECTIONS = 8
PAGES = 5000
"""Targets with browser heads: more than any cache of heads should hold."""
BROWSER = (
    "cache-control: max-age=0",
    'sec-ch-ua: "Chromium";v="124", "Google Chrome";v="124", "Not-A.Brand";v="99"',
    "sec-ch-ua-mobile: ?0",
    'sec-ch-ua-platform: "Linux"',
    "upgrade-insecure-requests: 1",
    "user-agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/124.0.0.0 Safari/537.36",
    "accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "sec-fetch-site: none",
    "sec-fetch-mode: navigate",
    "sec-fetch-dest: document",
    "accept-encoding: gzip, deflate, br, zstd",
    "accept-language: en-US,en;q=0.9",
    "cookie: session=1234567f00dcafe; theme=dark; visitor=GA1.1.1234567",
)
"""As in `throughput`, but that all requests have the same cookie: h2load cannot do otherwise."""


@frozen
class StreamRow:
    """A kind of request, for h2load: so many at once on each connection."""

    name: str
    path: str
    streams: int
    headers: Sequence[str] = ()
    pages: int = 1
    """How many different targets there are, in turn."""
    unit: str = "requests/s"

    def measure(self, port: int, pid: int, directory: Path, seconds: float) -> float:
        targets = directory / "targets"
        address = f"https://127.0.0.1:{port}{self.path}"
        pages = [f"{address}?page={1_000_000 + number}\n" for number in range(self.pages)]
        targets.write_text("".join(pages) if self.pages > 1 else address)
        words = ["taskset", "-c", LOAD_CORE, "h2load", "-c", str(CONNECTIONS), "-D", f"{seconds:g}"]
        words += ["-m", str(self.streams), "--npn-list", "h2", "-i", str(targets)]
        words += [word for header in self.headers for word in ("-H", header)]
        before = cpu_seconds(pid)
        done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120)
        return self._succeeded(done.stdout) / (cpu_seconds(pid) - before)

    def _succeeded(self, shown: str) -> int:
        """How many responses came; fail if any request did."""
        requests = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", shown)
        statuses = re.search(r"status codes: \d+ 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", shown)
        assert "Application protocol: h2\n" in shown, f"{self.name}: {shown}"
        assert requests is not None and statuses is not None, shown
        succeeded, *bad = map(int, (*requests.groups(), *statuses.groups()))
        assert not any(bad), f"{self.name}: {requests[0]}; {statuses[0]}"
        return succeeded


ROWS = [
    StreamRow("bare head, 1 stream", "/small", 1),
    StreamRow("bare head, 16 streams", "/small", 16),
    StreamRow("browser heads, 1 stream", "/small", 1, BROWSER, PAGES),
    StreamRow("browser heads, 16 streams", "/small", 16, BROWSER, PAGES),
    StreamRow("100 KB, 16 streams", "/100k", 16),
]


def table(directory: Path, rounds: int, seconds: float, only: str) -> None:
    """Measure and print."""
    if shutil.which("h2load") is None:
        print("\nh2load (nghttp2-client) is not installed, so HTTP/2 is left out")
        return
    rows = [row for row in ROWS if only in row.name]
    peers = [peer for peer in PEERS if peer is not WITH_LOG]
    compare(peers, rows, directory, rounds, seconds, pem=write_pem(directory), http2=True)
