"""A restart, or the end of the supervisor, with several sites: each serves its last release."""

import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.several_sites import HostedSite, SeveralSites
from tests.waiting import until

MakeSites = Callable[..., SeveralSites]

NAMES = ("blog", "shop", "wiki")


async def deploy_all(sites: SeveralSites, text: str) -> None:
    revisions = {name: sites[name].commit(text) for name in sites.sites}
    for name, revision in revisions.items():
        await sites.until_live(name, revision)


async def until_all_remember(sites: SeveralSites) -> None:
    """A state is written a moment after it has changed."""
    for name, site in sites.sites.items():
        revision = (await sites.status_of(name))["live"]["revision"]

        await until(
            f"{name} remembers {revision[:7]}",
            lambda site=site, revision=revision: is_remembered(site, revision),
        )


def is_remembered(site: HostedSite, revision: str) -> bool:
    return bool(site.remembered().get("live", {}).get("revision") == revision)


async def all_serve(sites: SeveralSites, text: str) -> None:
    for name in sites.sites:
        assert await sites.text_of(name) == text


async def test_a_restart_serves_the_last_release_of_each_site_without_its_checkout(
    make_sites: MakeSites, tmp_path: Path
) -> None:
    sites = make_sites(*NAMES)
    async with sites.running():
        await deploy_all(sites, "two")
    for name in NAMES:
        shutil.move(sites[name].checkout, tmp_path / f"{name}-away")
    async with sites.running():
        await all_serve(sites, "two")
        for name in NAMES:
            shutil.move(tmp_path / f"{name}-away", sites[name].checkout)
        await deploy_all(sites, "three")


async def test_after_a_kill_the_next_start_ends_the_orphans_of_all_and_serves_all(
    make_sites: MakeSites,
) -> None:
    sites = make_sites(*NAMES)
    for name in NAMES:
        sites[name].commit("two", grandchildren=True)
        sites.change(name, app={"stop_timeout": "500ms"})
    sites.start()
    for name in NAMES:
        await sites.until_phase(name, "serving")
    await until_all_remember(sites)
    assert await sites.stop(signal.SIGKILL) == -signal.SIGKILL
    left = sites.processes()
    assert list(left) == list(NAMES), "this test is about what is left behind"
    async with sites.running():
        await all_serve(sites, "two")
        for name in NAMES:
            assert not set(left[name]) & set(sites[name].processes())


async def test_after_a_kill_the_processes_of_a_site_that_was_removed_meanwhile_are_ended(
    make_sites: MakeSites,
) -> None:
    sites = make_sites("blog", "wiki")
    sites.start()
    for name in ("blog", "wiki"):
        await sites.until_phase(name, "serving")
    assert await sites.stop(signal.SIGKILL) == -signal.SIGKILL
    wiki = sites.sites.pop("wiki")
    sites.file_of("wiki").unlink()
    assert wiki.processes() != [], "this test is about what is left behind"
    async with sites.running():
        await until("no process of wiki is left", lambda: not wiki.processes())
        assert "wiki: sending SIGTERM" in sites.log()


@pytest.mark.parametrize("fault", ["no checkout", "no user", "no error pages", "mistake"])
async def test_a_site_that_cannot_run_keeps_none_from_starting(
    make_sites: MakeSites, tmp_path: Path, fault: str
) -> None:
    sites = make_sites(*NAMES)
    broken = sites["shop"]
    match fault:
        case "no checkout":
            shutil.rmtree(broken.checkout)
            why = str(broken.checkout)
        case "no user":
            sites.change("shop", app={"user": "no-such-user"})
            why = "no-such-user"
        case "mistake":
            sites.change("shop", hold={"limit": "many"})
            why = f"{sites.file_of('shop')}: [hold] limit"
        case _:
            pages = tmp_path / "pages"
            pages.write_text("a file, where a directory should be")
            sites.change("shop", error_pages=str(pages))
            why = str(pages)
    sites.start()
    try:
        for name in ("blog", "wiki"):
            await sites.until_phase(name, "serving")
            assert await sites.text_of(name) == "one"
            await sites.until_live(name, sites[name].commit("two"))
        assert "shop" in sites.log() and why in sites.log()
        # Its hosts are not known if its file has a mistake.
        assert (await sites.get("shop")).status == (404 if fault == "mistake" else 503)
        status = await sites.cli("status")
        assert "shop" in status.out and why in status.out
        status = await sites.cli("status", "shop")
        assert why in status.out
        check = await sites.check()
        assert check.code == (2 if fault == "mistake" else 1)
        assert why in check.out
    finally:
        assert await sites.stop() == 0, sites.log()
    assert sites.processes() == {}


async def test_a_site_that_could_not_run_is_served_after_a_reload(make_sites: MakeSites) -> None:
    sites = make_sites("blog", "shop")
    shutil.move(sites["shop"].checkout, sites.directory / "away")
    sites.start()
    try:
        await sites.until_phase("blog", "serving")
        shutil.move(sites.directory / "away", sites["shop"].checkout)
        assert (await sites.cli("reload")).code == 0
        await sites.until_phase("shop", "serving")
        assert await sites.text_of("shop") == "one"
    finally:
        assert await sites.stop() == 0, sites.log()
