"""Only so many builds run at once, and none while a site is being restored."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from blue_green.site.build_limit import RESTORE_PATIENCE, BuildLimit


class SomeBuilds:
    """SomeBuilds of several sites, and what they do right now."""

    def __init__(self, limit: BuildLimit, nursery: trio.Nursery) -> None:
        self.waiting: list[str] = []
        self.running: list[str] = []
        self._limit = limit
        self._nursery = nursery
        self._ends: dict[str, trio.Event] = {}

    async def begin(self, site: str) -> None:
        self._ends[site] = trio.Event()
        self._nursery.start_soon(self._build, site)
        await wait_all_tasks_blocked()

    async def end(self, site: str) -> None:
        self._ends[site].set()
        await wait_all_tasks_blocked()

    async def _build(self, site: str) -> None:
        await self._limit.acquire(self._wait(site))
        self.running.append(site)
        try:
            await self._ends[site].wait()
        finally:
            self.running.remove(site)
            self._limit.release()

    @contextmanager
    def _wait(self, site: str) -> Iterator[None]:
        self.waiting.append(site)
        try:
            yield
        finally:
            self.waiting.remove(site)


@pytest.fixture
def limit() -> BuildLimit:
    return BuildLimit(1)


@pytest.fixture
def builds(limit: BuildLimit, nursery: trio.Nursery) -> SomeBuilds:
    return SomeBuilds(limit, nursery)


async def test_builds_beyond_the_limit_wait_in_their_order(builds: SomeBuilds) -> None:
    for site in ("blog", "shop", "api"):
        await builds.begin(site)
    assert (builds.running, builds.waiting) == (["blog"], ["shop", "api"])
    await builds.end("blog")
    assert (builds.running, builds.waiting) == (["shop"], ["api"])


async def test_a_build_that_need_not_wait_is_not_reported_as_waiting(builds: SomeBuilds) -> None:
    await builds.begin("blog")
    assert (builds.running, builds.waiting) == (["blog"], [])


async def test_a_cancelled_wait_leaves_its_place_to_the_next(
    builds: SomeBuilds, limit: BuildLimit
) -> None:
    await builds.begin("blog")
    with trio.move_on_after(0):
        await limit.acquire()
    await builds.begin("shop")
    await builds.end("blog")
    assert builds.running == ["shop"]


async def test_a_higher_limit_lets_waiting_builds_begin(
    builds: SomeBuilds, limit: BuildLimit
) -> None:
    for site in ("blog", "shop", "api"):
        await builds.begin(site)
    limit.use(2)
    await wait_all_tasks_blocked()
    assert (builds.running, builds.waiting) == (["blog", "shop"], ["api"])


async def test_no_build_begins_while_a_site_is_restored(
    builds: SomeBuilds, limit: BuildLimit
) -> None:
    with limit.restoring():
        with limit.restoring():
            await builds.begin("blog")
            assert builds.waiting == ["blog"]
        await wait_all_tasks_blocked()
        assert builds.waiting == ["blog"]
    await wait_all_tasks_blocked()
    assert builds.running == ["blog"]


async def test_a_site_that_cannot_be_restored_holds_builds_up_for_a_bounded_time(
    builds: SomeBuilds, limit: BuildLimit, autojump_clock: MockClock
) -> None:
    with limit.restoring():
        await builds.begin("blog")
        began = trio.current_time()
        while not builds.running:
            await trio.sleep(1)
        assert trio.current_time() - began <= RESTORE_PATIENCE + 1
