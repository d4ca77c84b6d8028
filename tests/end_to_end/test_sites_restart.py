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


def break_some(sites: SeveralSites) -> dict[str, str]:
    """Break four sites, each in its own way; what has to be said about each."""
    pages = sites.directory / "pages"
    pages.write_text("a file, where a directory should be")
    shutil.rmtree(sites["gone"].checkout)
    sites.change("nobodys", app={"user": "no-such-user"})
    sites.change("pageless", error_pages=str(pages))
    sites.change("mistaken", hold={"limit": "many"})
    return {
        "gone": str(sites["gone"].checkout),
        "nobodys": "no-such-user",
        "pageless": str(pages),
        "mistaken": f"{sites.file_of('mistaken')}: [hold] limit",
    }


async def test_sites_that_cannot_run_keep_none_from_starting(make_sites: MakeSites) -> None:
    sites = make_sites("blog", "gone", "mistaken", "nobodys", "pageless", "wiki")
    broken = break_some(sites)
    sites.start()
    try:
        for name in ("blog", "wiki"):
            await sites.until_phase(name, "serving")
            assert await sites.text_of(name) == "one"
            await sites.until_live(name, sites[name].commit("two"))
        all_, check = await sites.cli("status"), await sites.check()
        assert check.code == 2, "there is a mistake in the settings"
        for name, why in broken.items():
            # The hosts of a file with a mistake are not known.
            assert (await sites.get(name)).status == (404 if name == "mistaken" else 503)
            one = await sites.cli("status", name)
            for told in (sites.log(), all_.out, one.out, check.out):
                assert name in told and why in told
        assert "correct the settings, then run blue-green reload" in sites.log()
    finally:
        assert await sites.stop() == 0, sites.log()
    assert sites.processes() == {}


@pytest.mark.long
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


async def test_a_site_whose_user_did_not_exist_is_served_after_a_reload(
    make_sites: MakeSites,
) -> None:
    """It takes all changes at once, also those that need a restart of a site that runs."""
    sites = make_sites("blog", "shop")
    sites.change("shop", app={"user": "no-such-user"})
    sites.start()
    try:
        await sites.until_phase("blog", "serving")
        await sites.until_phase("shop", "broken")
        del sites["shop"].settings["app"]["user"]
        sites.change("shop")
        done = await sites.cli("reload")
        assert (done.code, "restart" in done.out) == (0, False), done
        await sites.until_phase("shop", "serving")
        assert await sites.text_of("shop") == "one"
    finally:
        assert await sites.stop() == 0, sites.log()
