"""A watch at work on a checkout, for the tests of what it reports."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio
from attrs import define, field

from blue_green.config.kinds import Period
from blue_green.config.site_settings import GitSettings
from blue_green.source.git import Git
from blue_green.source.watch import POLL_INTERVAL, Watch
from tests.support.repository import git_of
from tests.waiting import PATIENCE, until


@define
class Following:
    """A watch at work, and what it told."""

    watch: Watch
    told: list[str] = field(factory=list)
    problems: list[str] = field(factory=list)
    """What the problem was whenever a HEAD was told."""

    async def on_head(self, revision: str) -> None:
        self.told.append(revision)
        self.problems.append(self.watch.problem)

    async def until_told(self, *revisions: str, timeout: float = PATIENCE) -> None:
        await until(f"{revisions} told", lambda: self.told == list(revisions) or None, timeout)


@asynccontextmanager
async def following(
    checkout: Path,
    pull_every: float | None = None,
    git: Git | None = None,
    *,
    knows_head: bool = True,
) -> AsyncIterator[Following]:
    """Watch this checkout until the block ends; report its current HEAD only if that is unknown."""
    git = git or git_of(checkout)
    every = None if pull_every is None else Period(pull_every)
    it = Following(Watch(GitSettings(checkout, pull_every=every), git))
    await it.watch.find_checkout()
    async with trio.open_nursery() as nursery:
        known = await git.head() if knows_head else None
        nursery.start_soon(it.watch.run, known, it.on_head)
        yield it
        nursery.cancel_scope.cancel()


async def some_looks() -> None:
    """Time for the watch to look several times: where nothing may happen, only time can tell."""
    await trio.sleep(4 * POLL_INTERVAL)
