"""A static site whose pages name their script by its content, as builders of such sites do."""

import hashlib
import re
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from tests.support.app_checkout import git
from tests.support.http_client import HttpClient
from tests.support.site import RealSite
from tests.waiting import until

DWELL = 0.3
"""Seconds that a visitor looks at a page, at least."""
SCRIPT = re.compile(r"/assets/app-[0-9a-f]{12}\.js")


class StaticSite:
    """A checkout with a directory `public`, and its settings."""

    def __init__(self, directory: Path, **sections: dict[str, Any]) -> None:
        self.real = real = RealSite(directory)
        real.sections["app"] = {"name": "test"}
        real.sections["swap"] = {"drain_timeout": "10s"}
        del real.sections["health"]
        real.configure(**{"files": {"/": "public"}, **sections})

    def publish(self, text: str, **pages: str) -> str:
        """Commit a site with this text and these pages, named without `.html`; its revision."""
        return publish(self.real.checkout, text, **pages)

    async def text(self, path: str = "/") -> str:
        """What it answers."""
        return (await self.real.get(path)).body.decode()


def publish(checkout: Path, text: str, **pages: str) -> str:
    """Commit a directory `public` with this text, a script and pages; the revision."""
    public = checkout / "public"
    shutil.rmtree(public, ignore_errors=True)
    script = script_of(text)
    index = f'<title>{text}</title><script src="{script}"></script>'
    files = {script: f'document.title = "{text} runs"', "/index.html": index}
    for name, content in {**files, **{f"{page}.html": pages[page] for page in pages}}.items():
        path = public / name.removeprefix("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (checkout / "behaviour.json").write_text("{}")  # Of the app, if there is one.
    (checkout / "text.txt").write_text(text)
    git(checkout, "add", "-A")
    git(checkout, "commit", "-q", "-m", text)
    return git(checkout, "rev-parse", "HEAD")


def script_of(text: str) -> str:
    """The path of the script of the site with this text."""
    return f"/assets/app-{hashlib.sha256(text.encode()).hexdigest()[:12]}.js"


def script_in(page: bytes) -> str:
    """The path of the script that a page loads."""
    found = SCRIPT.search(page.decode())
    assert found, page
    return found[0]


class Visits:
    """What became of the visitors of a site."""

    def __init__(self, port: int, find_script: Callable[[bytes], str]) -> None:
        self.pages = 0
        self.failures: list[str] = []
        self._port = port
        self._find_script = find_script

    @asynccontextmanager
    async def during_a_swap(self) -> AsyncIterator[None]:
        """Visit the site before the swap, and require the page's script again after it.

        The other visitors may all be between two visits at the moment of the swap.
        """
        async with HttpClient(self._port) as http:
            script = self._find_script(await fetch(http, "/"))
            yield
            assert self._find_script(await fetch(http, "/")) != script, "there was no swap"
            await fetch(http, script)

    async def visit(self, dwell: float) -> None:
        """Load the page and its script, and the script once more after `dwell` seconds."""
        async with HttpClient(self._port) as http:
            while True:
                try:
                    script = self._find_script(await fetch(http, "/"))
                    self.pages += 1
                    await fetch(http, script)
                    await trio.sleep(dwell)
                    await fetch(http, "/")
                    await fetch(http, script)
                except Exception as error:  # noqa: BLE001 - every failure counts, of any kind
                    self.failures.append(repr(error))
                    await trio.sleep(0.1)


async def fetch(http: HttpClient, path: str) -> bytes:
    answer = await http.get(path)
    assert answer.status == 200, f"{path}: {answer.status}"
    return answer.body


@asynccontextmanager
async def visited(
    port: int, find_script: Callable[[bytes], str] = script_in
) -> AsyncIterator[Visits]:
    """Visitors of the site, until the block ends."""
    visits = Visits(port, find_script)
    async with trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(visits.visit, DWELL * (1 + number / 5))  # Not in step.
        await until("the first visit", lambda: visits.pages or visits.failures)
        yield visits
        nursery.cancel_scope.cancel()
    assert visits.failures == [], f"of {visits.pages} visits: {visits.failures[:5]}"
