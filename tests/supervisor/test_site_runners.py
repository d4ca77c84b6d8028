"""Sites are run and removed; one that cannot run does not affect the others."""

import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import attrs
import pytest
import trio
from attrs import define

from blue_green.config.settings import SiteSettings
from blue_green.control.server import Selector, SiteRequest
from blue_green.site.maintenance_record import MaintenanceRecord
from blue_green.site.site import Site
from blue_green.site.sites import Sites
from blue_green.site.slots import Slots
from blue_green.site.state import State
from blue_green.site.state_file import STATE_FILE, StateFile
from blue_green.supervisor import overview
from blue_green.supervisor.maintenance_command import MaintenanceArguments
from blue_green.supervisor.operations import Operations
from blue_green.supervisor.site_runners import SiteRunners
from tests.support import site_parts
from tests.support.repository import Repository
from tests.waiting import until


async def fail(*_: Any) -> None:
    raise RuntimeError("an error of ours")


@pytest.fixture
async def sites(tmp_path: Path) -> Sites:
    """Two sites that run; neither has a release that starts."""
    checkout = Repository(tmp_path / "checkout").path
    made = site_parts.make_several(tmp_path / "state", checkout, ("blog", "shop"))
    settings = made.settings.sites
    for site in list(made):
        made.remove(site)
    assert made.settings.sites == settings
    return made


async def test_an_error_in_a_site_that_is_removed_ends_only_that_site(
    sites: Sites, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Slots, "stop", fail)
    runners = SiteRunners(sites, {})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(runners.run)
        await until("both run", lambda: len(sites) == 2)
        shop = sites.get("shop")
        site_parts.use(sites, [shop.settings] if shop else [])
        runners.remove("blog")
        await runners.until_removed()
        assert [site.name for site in sites] == ["shop"]
        assert sites.not_running == {}
        nursery.cancel_scope.cancel()


async def test_a_site_that_fails_is_run_again(
    sites: Sites, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blue_green.supervisor.site_runner.RETRY_INTERVAL", 0.05)
    with monkeypatch.context() as broken:
        broken.setattr(Site, "deploy", fail)
        runners = SiteRunners(sites, {})
        async with trio.open_nursery() as nursery:
            nursery.start_soon(runners.run)
            await until("both have failed", lambda: len(sites.broken) == 2)
            assert "an error of ours" in sites.not_running["blog"]
            broken.undo()
            await until("both run", lambda: len(sites) == 2 and not sites.broken)
            nursery.cancel_scope.cancel()


IN_MAINTENANCE = MaintenanceRecord(since=time.time(), message="Moving house.", allow=["192.0.2.7"])


@define
class RunningAgain:
    """Both sites after a restart, of which the blog was in maintenance, and cannot run."""

    sites: Sites
    runners: SiteRunners
    commands: Operations
    repair: Callable[[], None]

    @property
    def blog(self) -> SiteSettings:
        return next(site for site in self.sites.settings.sites if site.name == "blog")

    @property
    def page(self) -> str:
        """What visitors of the blog see; empty if it is not in maintenance."""
        served = self.sites.served(self.blog)
        if served.maintenance is None:
            return ""
        return served.pages.of_maintenance(served.maintenance.notice, html=False).decode()

    def remembered(self) -> MaintenanceRecord | None:
        return StateFile(self.blog.state_directory / STATE_FILE).load().maintenance

    async def command(self, do: str, **arguments: Any) -> dict[str, Any]:
        return await self.commands.maintenance(
            SiteRequest(Selector("blog"), MaintenanceArguments(cast("Any", do), **arguments)),
            cast("Any", None),
        )

    async def until_it_runs(self) -> Site:
        self.repair()
        await until("it runs", lambda: self.sites.get("blog"))
        site = self.sites.get("blog")
        assert site is not None
        return site


@pytest.fixture(params=["checkout", "error_pages", "user"])
async def again(
    sites: Sites, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[RunningAgain]:
    monkeypatch.setattr("blue_green.supervisor.site_runner.RETRY_INTERVAL", 0.05)
    blog, shop = sites.settings.sites
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "maintenance.txt").write_text("Our page: {message}")
    blog = site_parts.serving(blog, error_pages=pages)
    repaired = blog
    if request.param == "checkout":
        blog = attrs.evolve(blog, git=attrs.evolve(blog.git, checkout=tmp_path / "gone"))
    elif request.param == "user":
        blog = attrs.evolve(blog, app=attrs.evolve(blog.app, user="nobody-of-this-name"))
    else:
        (pages / "404.html").write_bytes(b"\xff")
    site_parts.use(sites, [blog, shop])
    await StateFile(blog.state_directory / STATE_FILE).write(State(maintenance=IN_MAINTENANCE))
    runners, unused = SiteRunners(sites, {}), cast("Any", None)

    def repair() -> None:
        (pages / "404.html").unlink(missing_ok=True)
        site_parts.use(sites, [repaired, shop])
        runners.get("blog").use(repaired, None)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(runners.run)
        await until("only the shop runs", lambda: sites.broken and sites.get("shop"))
        yield RunningAgain(sites, runners, Operations(sites, unused, unused), repair)
        nursery.cancel_scope.cancel()


async def test_a_site_that_cannot_run_after_a_restart_shows_its_maintenance_page(
    again: RunningAgain,
) -> None:
    with_own_pages = "error_pages" not in again.sites.broken["blog"]
    own, built_in = "Our page: Moving house.", "In maintenance\nMoving house.\n"
    assert again.page == (own if with_own_pages else built_in)
    status = overview.of_not_running(again.sites, "blog", again.sites.broken["blog"])
    assert status["maintenance"]["message"] == "Moving house."
    assert (await again.command("show"))["maintenance"]["allow"] == ["192.0.2.7"]
    site = await again.until_it_runs()
    assert site.maintenance.record == IN_MAINTENANCE
    assert again.page == own


async def test_maintenance_of_a_site_that_cannot_run_ends_for_good(again: RunningAgain) -> None:
    assert (await again.command("off"))["was_on"]
    assert (again.page, again.remembered()) == ("", None)
    site = await again.until_it_runs()
    assert (site.maintenance.record, again.page) == (None, "")


async def test_maintenance_of_a_site_that_cannot_run_begins_and_ends_in_time(
    again: RunningAgain,
) -> None:
    await again.command("off")
    result = await again.command("on", message="Soon.", secret=True)
    assert result["links"]
    assert "Soon." in again.page
    record = again.remembered()
    assert record is not None
    assert record.token
    broken = again.sites.get_broken("blog")
    assert broken is not None
    broken.maintenance.begin(message="", until=time.time() + 0.1, allow=[], secret=False)
    await until("it has ended", lambda: not again.page)

    async def none_is_shown() -> bool:
        return (await again.command("show"))["maintenance"] is None

    await until("the command says so, too", none_is_shown)
