"""A real site with TLS, for real clients of HTTP/2, and how such a client is run."""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import frozen

from tests.raw.tls_client import authority, write_pair
from tests.support.admin import Admin
from tests.support.site import RealSite
from tests.waiting import until

APPS = Path(__file__).parents[1] / "apps"
PROGRAM_TIMEOUT = 60.0


@frozen
class Ran:
    """What a program printed."""

    out: bytes
    err: bytes

    @property
    def text(self) -> str:
        return self.out.decode()

    def json(self) -> Any:
        return json.loads(self.out)


class Http2Site(RealSite):
    """A site for `localhost`, whose app is one of `tests/apps`."""

    def __init__(self, directory: Path, app: str = "showcase", **sections: dict[str, Any]) -> None:
        super().__init__(directory)
        pair = write_pair(directory, "localhost", "127.0.0.1")
        self.root = directory / "authority.pem"
        """The certificate that clients have to trust."""
        authority().cert_pem.write_to_path(self.root)
        tls = {"certificate": str(pair.certificate), "key": str(pair.key)}
        self.configure(
            app={"command": [sys.executable, f"{app}.py", "{port}"]},
            proxy={"tls": tls, "access_log": True},
        )
        self.configure(**sections)
        self.admin = Admin(self)
        (self.checkout / f"{app}.py").write_bytes((APPS / f"{app}.py").read_bytes())

    def url(self, path: str) -> str:
        return f"https://localhost:{self.port}{path}"

    def journal_of(self, path: str) -> list[dict[str, Any]]:
        """The requests for this path that the app got."""
        return [line for line in self.journal() if line["path"] == path]

    async def connections(self) -> tuple[int, int]:
        """How many connections are open, of HTTP/1.1 and of HTTP/2."""
        metrics = await self.admin.metrics()
        name = "blue_green_connections"
        return int(metrics[name, "1"]), int(metrics[name, "2"])

    async def until_one_connection(self) -> None:
        """Wait until the only connection is one of HTTP/2. Browsers may have had a spare one."""

        async def look() -> bool:
            return await self.connections() == (0, 1)

        await until("one connection", look)

    async def until_logged_requests(self, text: str, count: int = 1) -> list[str]:
        """Wait until this many lines of the access log contain the text, and return them."""

        def look() -> list[str] | None:
            lines = [line for line in self.log().splitlines() if " request " in line]
            lines = [line for line in lines if text in line]
            return lines if len(lines) >= count else None

        found: list[str] = await until(f"{count} lines with {text}", look)
        return found


@contextmanager
def running_site(directory: Path, app: str = "showcase") -> Iterator[Http2Site]:
    """A running site for all tests of a module."""
    site = Http2Site(directory, app)
    with started(site, "serving"):
        yield site


@contextmanager
def started(site: RealSite, phase: str) -> Iterator[None]:
    """Run a site with a first release outside of a test; the block begins in this phase."""
    site.commit("one")
    site.start()
    try:
        trio.run(site.until_phase, phase)
        yield
    finally:
        code = trio.run(site.stop)
    assert code == 0, site.log()


async def run_program(*words: str, stdin: bytes = b"", **env: str) -> Ran:
    """Run a client to its end, which must be a success. The test is skipped if it is missing."""
    needs(words[0])
    with trio.fail_after(PROGRAM_TIMEOUT):
        done = await trio.run_process(
            words, stdin=stdin, capture_stdout=True, capture_stderr=True, check=False,
            env={**os.environ, **env},
        )  # fmt: skip
    said = done.stderr.decode(errors="replace")
    assert done.returncode == 0, f"{words[0]} ended with {done.returncode}: {said}"
    return Ran(done.stdout, done.stderr)


async def curl(site: Http2Site, path: str, *words: str, stdin: bytes = b"") -> Ran:
    """Run curl over HTTP/2."""
    options = ["--http2", "--cacert", str(site.root), "-sS", "--max-time", "40"]
    return await run_program("curl", *options, *words, site.url(path), stdin=stdin)


def needs(program: str) -> None:
    """Skip the test if this program is not installed."""
    if shutil.which(program) is None:
        pytest.skip(f"needs {program}")
