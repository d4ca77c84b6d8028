"""Sites are run and removed; an error of ours in one of them does not affect the others."""

from pathlib import Path
from typing import Any

import pytest
import trio

from blue_green.site.site import Site
from blue_green.site.sites import Sites
from blue_green.site.slots import Slots
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
