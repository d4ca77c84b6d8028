"""Files are served as nginx serves them, but for the differences that are listed here."""

import os
import shutil
import socket
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
from attrs import frozen

from tests.raw.files import roots, serving, write
from tests.raw.peer import ParsedMessage, Peer
from tests.waiting import until

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/sbin:/bin")
pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")

CONFIG = """\
daemon off; master_process off; pid {directory}/pid; error_log /dev/null;
events {{ worker_connections 64; }}
http {{
  access_log off; gzip_static on; gzip_vary on; disable_symlinks on from=$document_root;
  client_body_temp_path {directory}/tmp; types {{ text/html html; text/css css; }}
  server {{
    listen unix:{socket};
    root {root};
    location / {{ try_files $uri $uri.html $uri/ =404; }}
  }}
}}
"""
PATHS = [
    "/", "/index.html", "/about", "/about.html", "/blog", "/blog/", "/blog/post.html", "/nothing",
    "/nothing/", "/bare", "/bare/", "/empty.txt", "/large.bin", "/app.css", "/app.css.gz",
    "/two%20words.html", "/%C3%A9t%C3%A9.html", "/a+b.html", "/q%3F.html", "/p%25.html",
    "/%61bout.html", "/about.html?v=1", "/about.html/", "/about.html/x", "/fifo", "/outside",
    "/outdir/x", "/%2e%2e/secret", "/..%2fsecret", "/%252e%252e/secret", "/..%5csecret",
    "/about.html%00", "/" + "n" * 300, "/" + "d/" * 60, "/BLOG/",
]  # fmt: skip
HEADERS = [
    [], ["Range: bytes=0-3"], ["Range: bytes=2-"], ["Range: bytes=-2"], ["Range: bytes=-0"],
    ["Range: bytes=0-99999999999"], ["Range: bytes=99999999-"], ["Range: bytes=3-2"],
    ["Range: lines=1-2"], ["Range: bytes=a-b"], ["Range: bytes="],
    ["If-None-Match: *"], ['If-None-Match: "no"'], ["If-None-Match: ETAG"],
    ["If-None-Match: W/ETAG"], ['If-None-Match: "a", ETAG , "b"'], ["If-Match: *"],
    ["If-Match: ETAG"], ["If-Match: W/ETAG"], ['If-Match: "no"'],
    ["If-Modified-Since: DATE"], ["If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT"],
    ["If-Modified-Since: garbage"], ["If-Unmodified-Since: DATE"],
    ["If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT"], ["If-Unmodified-Since: garbage"],
    ["If-None-Match: ETAG", "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT"],
    ['If-None-Match: "no"', "If-Modified-Since: DATE"],
    ['If-Match: "no"', "If-None-Match: ETAG"],
    ["Range: bytes=0-0", "If-Range: ETAG"], ["Range: bytes=0-0", 'If-Range: "no"'],
    ["Range: bytes=0-0", "If-Range: DATE"],
    ["Range: bytes=0-0", "If-Range: Sun, 06 Nov 1994 08:49:37 GMT"],
    ["Range: bytes=0-0", "If-None-Match: ETAG"],
    ["Accept-Encoding: gzip"], ["Accept-Encoding: gzip;q=0"], ["Accept-Encoding: gzip;q=0.5, br"],
    ["Accept-Encoding: gzip", "Range: bytes=1-2"], ["Accept-Encoding: identity"],
]  # fmt: skip


@frozen
class FileRequest:
    """One request of the corpus."""

    method: str
    path: str
    lines: tuple[str, ...]

    def has(self, *beginnings: str) -> bool:
        """Whether one of its header lines begins so."""
        return any(line.startswith(beginnings) for line in self.lines)

    def head(self, etag: str, date: str) -> bytes:
        lines = [line.replace("ETAG", etag).replace("DATE", date) for line in self.lines]
        words = (f"{self.method} {self.path} HTTP/1.1", "Host: h", *lines)
        return "".join(f"{word}\r\n" for word in words).encode() + b"\r\n"


CORPUS = [
    *(FileRequest(method, path, ()) for path in PATHS for method in ("GET", "HEAD", "POST")),
    *(
        FileRequest(method, path, tuple(lines))
        for path in ("/about.html", "/large.bin", "/empty.txt", "/app.css")
        for lines in HEADERS
        for method in ("GET", "HEAD")
    ),
]
COMPARED = (b"content-length", b"content-range", b"content-encoding", b"vary", b"last-modified")


@pytest.fixture
def public(tmp_path: Path) -> Path:
    top = tmp_path / "release/public"
    write(
        top,
        {
            "index.html": "home page",
            "about.html": "about us",
            "blog/index.html": "blog",
            "blog/post.html": "post",
            "bare/file": "no index",
            "empty.txt": "",
            "large.bin": os.urandom(300_000),
            "app.css": "a { color: red }",
            "app.css.gz": "compressed",
            "two words.html": "words",
            "été.html": "summer",
            "a+b.html": "plus",
            "q?.html": "question",
            "p%.html": "percent",
        },
    )
    write(tmp_path, {"release/secret": "secret", "elsewhere/x": "outside"})
    os.mkfifo(top / "fifo")
    (top / "outside").symlink_to("../secret")
    (top / "outdir").symlink_to(tmp_path / "elsewhere")
    return top


@contextmanager
def nginx(public: Path, directory: Path) -> Iterator[Path]:
    """nginx with this root. Gives its socket."""
    assert NGINX is not None
    address = directory / "s"
    config = directory / "nginx.conf"
    config.write_text(CONFIG.format(directory=directory, socket=address, root=public))
    for path in (public, *public.rglob("*")):
        if not path.is_symlink() and not path.is_fifo():
            path.chmod(0o755)
    with subprocess.Popen([NGINX, "-p", str(directory), "-c", str(config)]) as running:
        try:
            yield address
        finally:
            running.terminate()


@frozen
class Difference:
    """Where we answer with another status than nginx, and why."""

    why: str
    applies: Callable[[FileRequest], bool]
    ours: int
    nginx: tuple[int, ...]


DIFFERENCES = [
    Difference("other methods never have a response here", lambda a: a.method == "POST", 405,
               (400, 301, 403, 404)),
    Difference("308, as in all our redirects", lambda a: a.path == "/blog", 308, (301,)),
    Difference("a directory without an index is nothing", lambda a: "/bare" in a.path, 404,
               (301, 403)),
    Difference("a path that leads out is nothing", lambda a: "secret" in a.path, 404, (400,)),
    Difference("nor is one with a NUL", lambda a: "%00" in a.path, 404, (400,)),
    Difference("9110, 14.2: a range is for GET only",
               lambda a: a.method == "HEAD" and a.has("Range"), 200, (206, 416)),
    Difference("an empty file has no ranges",
               lambda a: a.path == "/empty.txt" and a.has("Range"), 200, (416,)),
    Difference("compressed files have ranges, too",
               lambda a: a.path == "/app.css" and a.has("Accept-Encoding: gzip"), 206, (200,)),
    Difference("9110, 14.2: a malformed range is ignored",
               lambda a: a.has("Range: bytes=3-2", "Range: bytes=a-b"), 200, (416,)),
    Difference("9110, 13.1.4: an invalid date is ignored",
               lambda a: a.has("If-Unmodified-Since: garbage"), 200, (412,)),
    Difference("9110, 13.1.3: If-None-Match takes precedence over If-Modified-Since",
               lambda a: a.has("If-None-Match: ETAG") and a.has("If-Modified-Since"), 304, (200,)),
]  # fmt: skip


class AskedServer:
    """A server that is asked, with the validators that it has told."""

    def __init__(self, connect: Callable[[], Awaitable[trio.SocketStream]]) -> None:
        self._connect = connect
        self._validators: dict[str, tuple[str, str]] = {}

    async def ask(self, asked: FileRequest) -> ParsedMessage:
        if asked.path not in self._validators:
            plain = await self._answer(FileRequest("HEAD", asked.path, ()), "", "")
            fields = [plain.field(name) or [b""] for name in (b"etag", b"last-modified")]
            etag, date = (values[0].decode() for values in fields)
            self._validators[asked.path] = etag, date
        return await self._answer(asked, *self._validators[asked.path])

    async def _answer(self, asked: FileRequest, etag: str, date: str) -> ParsedMessage:
        async with await self._connect() as stream:
            connection = Peer(stream)
            await connection.send(asked.head(etag, date))
            return await connection.answer(asked.method)


async def test_statuses_and_fields_are_those_of_nginx(public: Path, tmp_path: Path) -> None:
    unused = {difference.why for difference in DIFFERENCES}
    with nginx(public, tmp_path) as address:
        await until("nginx listens", address.exists)
        async with serving(roots(public.parent)) as proxy:
            ours = AskedServer(lambda: trio.open_tcp_stream("127.0.0.1", proxy.port))
            theirs = AskedServer(lambda: open_unix_stream(address))
            for asked in CORPUS:
                answer, expected = await ours.ask(asked), await theirs.ask(asked)
                if answer.status == expected.status:
                    assert compared(answer) == compared(expected), asked
                    continue
                found = next((each for each in DIFFERENCES if each.applies(asked)), None)
                assert found is not None, (asked, answer.status, expected.status)
                assert answer.status == found.ours and expected.status in found.nginx, asked
                unused.discard(found.why)
    assert not unused


def compared(answer: ParsedMessage) -> object:
    """What must be the same in two responses with the same status."""
    if answer.status not in (200, 206, 304):
        return answer.field(b"content-range")
    return answer.body, [answer.field(name) for name in COMPARED]


async def open_unix_stream(address: Path) -> trio.SocketStream:
    sock = trio.socket.socket(socket.AF_UNIX)
    await sock.connect(str(address))
    return trio.SocketStream(sock)
