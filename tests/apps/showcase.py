"""An app with something for each kind of client: a page with many assets, downloads, uploads,
trailers, header fields of any size."""

import hashlib
import json
import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

TEXT = Path("text.txt").read_text()
ASSETS = 200
PATTERN = bytes(range(256)) * 4096  # 1 MiB


def page(delay: str) -> str:
    """A page with many scripts, each of which takes so many seconds."""
    sources = (f"/asset/{number}.js?{delay}" for number in range(ASSETS))
    scripts = "".join(f'<script async src="{source}"></script>' for source in sources)
    return f"<title>{TEXT}</title><script>loaded = 0</script>{scripts}"


def note(**more: object) -> None:
    with Path(os.environ["JOURNAL"]).open("a") as journal:
        journal.write(json.dumps({"kind": "request", "text": TEXT, **more}) + "\n")


class ShowcaseHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_GET(self) -> None:
        path, _, argument = self.path.partition("?")
        if path == "/healthz":
            self.reply(b"ok")
            return
        self.note()
        if path == "/page":
            self.reply(page(argument).encode(), "text/html")
        elif path.startswith("/asset/"):
            time.sleep(float(argument or 0))
            self.reply(b"loaded++;" + b" " * 2000, "text/javascript")
        elif path == "/bytes":
            self.send_bytes(int(argument))
        elif path == "/trailers":
            self.send_trailers()
        elif path == "/fields":
            fields = [("X-Large", "x" * int(argument)), ("Set-Cookie", "a=1"), ("Set-Cookie", "b")]
            self.reply(b"many", "text/plain", fields)
        elif path == "/slow":
            time.sleep(float(argument))
            self.reply(TEXT.encode())
        else:
            self.reply(json.dumps(self.described(b"", {})).encode(), "application/json")

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self.note()
        body, trailers = self.receive()
        self.reply(json.dumps(self.described(body, trailers)).encode(), "application/json")

    do_PUT = do_POST

    def note(self) -> None:
        note(method=self.command, path=self.path, via=self.headers["Via"])

    def described(self, body: bytes, trailers: dict[str, str]) -> dict[str, Any]:
        fields: dict[str, list[str]] = {}
        for name, value in self.headers.items():
            fields.setdefault(name.lower(), []).append(value)
        digest = hashlib.sha256(body).hexdigest()
        return {
            "method": self.command, "path": self.path, "fields": fields, "trailers": trailers,
            "length": len(body), "sha256": digest, "text": TEXT,
        }  # fmt: skip

    def receive(self) -> tuple[bytes, dict[str, str]]:
        """The body, and the trailers of a chunked one."""
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", "0"))), {}
        body, trailers = b"", {}
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while line := self.rfile.readline().decode().strip():
            name, _, value = line.partition(":")
            trailers[name.lower()] = value.strip()
        return body, trailers

    def send_bytes(self, size: int) -> None:
        """So many bytes of a pattern, or a range of them."""
        start, end, status = 0, size, 200
        if wanted := self.headers["Range"]:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            start, end, status = int(first), int(last or size - 1) + 1, 206
        self.send_response(status)
        self.send_header("Content-Length", str(end - start))
        self.send_header("Accept-Ranges", "bytes")
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
        self.end_headers()
        while self.command == "GET" and start < end:
            offset = start % len(PATTERN)
            piece = PATTERN[offset : offset + end - start]
            self.wfile.write(piece)
            start += len(piece)

    def send_trailers(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Trailer", "X-Checksum")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(b"4\r\nbody\r\n0\r\nX-Checksum: 1234\r\n\r\n")

    def reply(
        self, body: bytes, kind: str = "text/plain", fields: list[tuple[str, str]] | None = None
    ) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in fields or []:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class ShowcaseServer(ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    ShowcaseServer(("127.0.0.1", int(sys.argv[1])), ShowcaseHandler).serve_forever(0.01)
