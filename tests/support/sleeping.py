"""Wait for real sites to fall asleep and to wake."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from tests.support.http_client import Answer
from tests.support.site import RealSite
from tests.waiting import until

SOON = {"after": "300ms"}
"""Settings of `[idle]` for a site that is to fall asleep in the test."""


async def is_asleep(site: RealSite) -> bool:
    """Whether it is asleep, and its backends have stopped."""
    sleep = (await site.status())["sleep"]
    return bool(sleep and sleep["since"])


async def until_asleep(site: RealSite) -> dict[str, Any]:
    """Wait until it is asleep; its status."""
    await until("the site is asleep", lambda: is_asleep(site))
    return await site.status()


@asynccontextmanager
async def sleeping(
    site: RealSite, files: dict[str, str] | None = None, **behaviour: Any
) -> AsyncIterator[str]:
    """Commit "one" and run the site until the block ends; the revision, once it is asleep."""
    revision = site.commit("one", files, **behaviour)
    async with site.running(wait_for="asleep"):
        await until_asleep(site)
        yield revision


async def until_held(site: RealSite, count: int) -> None:
    """Wait until so many requests are held."""

    async def look() -> bool:
        return bool((await site.status())["held"] == count)

    await until(f"{count} held requests", look)


@asynccontextmanager
async def held_requests(site: RealSite, *paths: str) -> AsyncIterator[list[Answer]]:
    """Requests that come one after the other and wait; the block must let them go."""
    answers: list[Answer] = []

    async def get(path: str) -> None:
        answers.append(await site.get(path))

    async with trio.open_nursery() as nursery:
        for count, path in enumerate(paths, start=1):
            nursery.start_soon(get, path)
            await until_held(site, count)
        yield answers


def events(site: RealSite) -> list[dict[str, Any]]:
    """What was reported to `notify_file`."""
    file = site.directory / "events"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def notify(site: RealSite) -> None:
    """Report to a file, from which `events` reads."""
    command = ["sh", "-c", f"cat >>{site.directory / 'events'}"]
    site.configure(notify={"command": command})
