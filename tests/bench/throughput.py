"""Requests a second, by kind of request."""

import re
import subprocess
from pathlib import Path

from attrs import frozen

from tests.bench.comparison import compare
from tests.bench.peers import LOAD_CORE, PEERS

BROWSER = """\
local fixed = table.concat({
  "Host: blog.example.com", "Connection: keep-alive", "Cache-Control: max-age=0",
  'sec-ch-ua: "Chromium";v="124", "Google Chrome";v="124", "Not-A.Brand";v="99"',
  "sec-ch-ua-mobile: ?0", 'sec-ch-ua-platform: "Linux"', "Upgrade-Insecure-Requests: 1",
  "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) " ..
    "Chrome/124.0.0.0 Safari/537.36",
  "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
  "Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document",
  "Accept-Encoding: gzip, deflate, br, zstd", "Accept-Language: en-US,en;q=0.9"}, "\\r\\n")
local n = math.floor(os.time() % 100000) * 10000000
request = function()
  n = n + 1
  return "GET /small?page=" .. n .. " HTTP/1.1\\r\\n" .. fixed .. "\\r\\nCookie: session=" .. n ..
    "f00dcafe; theme=dark; visitor=GA1.1." .. n .. "\\r\\n\\r\\n"
end
"""
UPLOAD = """\
wrk.method = "POST"
wrk.body = string.rep("x", 65536)
"""
CLOSE = 'wrk.headers["Connection"] = "close"\n'


@frozen
class Row:
    """A kind of request, for wrk."""

    name: str
    path: str
    connections: int = 16
    script: str = ""
    unit: str = "requests/s"

    def measure(self, port: int, pid: int, directory: Path, seconds: float) -> float:
        return wrk(self, f"http://127.0.0.1:{port}", directory, seconds)


ROWS = [
    Row("small, bare head", "/small"),
    Row("small, unique browser heads", "/small", script=BROWSER),
    Row("100 KB", "/100k"),
    Row("100 MB", "/100m", connections=4, unit="MB/s"),
    Row("new connection each", "/small", script=CLOSE),
    Row("64 KiB uploads", "/upload", script=UPLOAD),
    Row("latency, one connection", "/small", connections=1, unit="ms"),
]


def table(directory: Path, rounds: int, seconds: float, only: str) -> None:
    """Measure and print."""
    rows = [row for row in ROWS if only in row.name]
    compare(PEERS, rows, directory, rounds, seconds)


def wrk(row: Row, address: str, directory: Path, seconds: float) -> float:
    """Requests a second, or whatever the unit of the row is."""
    script = directory / "script.lua"
    script.write_text(row.script)
    words = ["taskset", "-c", LOAD_CORE, "wrk", "-t", "1", "-c", str(row.connections), "--latency"]
    words += ["-d", f"{seconds:g}s", *(["-s", str(script)] if row.script else [])]
    done = subprocess.run(
        [*words, f"{address}{row.path}"], capture_output=True, text=True, check=True
    )
    if bad := re.search(r"Non-2xx.*", done.stdout):
        raise AssertionError(f"{row.name} at {address}: {bad[0]}")
    if row.unit == "ms":
        return _number(r"50%\s+([\d.]+)(us|ms|s)", done.stdout, {"us": 0.001, "ms": 1, "s": 1000})
    if row.unit == "MB/s":
        pattern = r"Transfer/sec:\s+([\d.]+)(KB|MB|GB)"
        return _number(pattern, done.stdout, {"KB": 0.001, "MB": 1, "GB": 1024})
    return _number(r"Requests/sec:\s+([\d.]+)()", done.stdout, {"": 1})


def _number(pattern: str, text: str, units: dict[str, float]) -> float:
    match = re.search(pattern, text)
    assert match is not None, text
    return float(match[1]) * units[match[2]]
