"""`reload` adds, removes and changes sites while the others serve."""

import json
from collections.abc import Callable

import pytest

from tests.support.http_client import HttpClient
from tests.support.several_sites import SeveralSites

MakeSites = Callable[..., SeveralSites]


async def reloaded(sites: SeveralSites) -> None:
    """Reload the settings, which must be free of mistakes."""
    done = await sites.cli("reload")
    assert done.code == 0, done.err + sites.log()


async def test_a_new_site_holds_requests_until_its_first_release(make_sites: MakeSites) -> None:
    sites = make_sites("blog", "shop")
    async with sites.running(), sites.loaded("blog", "shop"):
        assert (await status_at(sites, "wiki.example.com")) == 404
        sites.add("wiki").commit("one", start_delay=1)
        await reloaded(sites)
        assert await sites.text_of("wiki") == "one"
        await sites.until_live("wiki", sites["wiki"].commit("two"))
        assert await sites.text_of("wiki") == "two"


async def test_a_changed_site_is_served_under_its_new_hosts_and_paths(
    make_sites: MakeSites,
) -> None:
    sites = make_sites("blog", "shop", "wiki")
    async with sites.running(), sites.loaded("shop", "wiki"):
        pids = await sites.pids()
        sites.change("blog", hosts=["new.example.com"], paths=["/blog"])
        done = await sites.cli("reload", "--json")
        assert done.code == 0, done.err
        changes = json.loads(done.out)["changes"]
        assert [(one["site"], one["key"]) for one in changes] == [
            ("blog", "hosts"),
            ("blog", "paths"),
        ]
        assert await status_at(sites, "blog.example.com") == 404
        assert await status_at(sites, "new.example.com") == 404
        assert await status_at(sites, "new.example.com", "/blog/a") == 200
        assert await sites.pids() == pids


async def test_a_mistake_in_one_file_changes_nothing(make_sites: MakeSites) -> None:
    sites = make_sites("blog", "shop")
    async with sites.running(), sites.loaded("blog", "shop"):
        pids = await sites.pids()
        sites.change("blog", hosts=["new.example.com"])
        sites.change("shop", hold={"limit": "many"})
        sites.add("wiki").commit("one")
        done = await sites.cli("reload")
        assert done.code == 2, done
        assert str(sites.file_of("shop")) in done.err and "limit" in done.err
        assert await status_at(sites, "new.example.com") == 404
        assert await status_at(sites, "blog.example.com") == 200
        assert await status_at(sites, "wiki.example.com") == 404
        assert list((await sites.status())["sites"]) == ["blog", "shop"]
        assert await sites.pids() == pids


async def test_a_reload_never_removes_the_last_site(make_sites: MakeSites) -> None:
    """An `include` that matches nothing is rather a mistake."""
    sites = make_sites("blog", "shop")
    async with sites.running():
        sites.file_of("blog").parent.rename(sites.directory / "away")
        done = await sites.cli("reload")
        assert (done.code, "no site is left" in done.err) == (2, True), done
        assert await sites.text_of("blog") == await sites.text_of("shop") == "one"


@pytest.mark.long
async def test_a_reload_during_a_swap_of_each_site_drops_nothing(make_sites: MakeSites) -> None:
    sites = make_sites("blog", "shop")
    async with sites.running(), sites.loaded("blog", "shop") as loads:
        for number in range(3):
            revisions = {name: sites[name].commit(f"{number}") for name in ("blog", "shop")}
            if number % 2 == 0:
                sites.add(f"wiki{number}").commit("one")
            await reloaded(sites)
            for name, revision in revisions.items():
                await sites.until_live(name, revision)
                await loads[name].until_text(f"{name} {number}")


async def status_at(sites: SeveralSites, host: str, path: str = "/") -> int:
    async with HttpClient(sites.port) as http:
        return (await http.get(path, Host=host)).status
