"""Several sites behind one supervisor: each is deployed for itself, and side by side."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.http_client import HttpClient
from tests.support.several_sites import SeveralSites
from tests.waiting import until

MakeSites = Callable[..., SeveralSites]

BUILD = """
echo begin $1 >>$2
while [ -e $3 ]; do sleep 0.02; done
echo end $1 >>$2
"""
"""A build that notes when it begins and ends, and waits while there is a file."""


async def test_each_request_goes_to_the_site_of_its_host_and_path(make_sites: MakeSites) -> None:
    sites = make_sites("blog", "shop", "tags", "other")
    sites.change("blog", hosts=["blog.example.com", "*.blog.example.com"])
    sites.change("tags", hosts=["blog.example.com"], paths=["/tags"], strip_path=True)
    sites.change("other", hosts=["*"])
    sites.configure(sites={"shop": sites["shop"].settings})  # In the main file.
    sites.file_of("shop").unlink()
    expected = {
        ("blog.example.com", "/"): ("blog", "/"),
        ("BLOG.example.com:8000", "/tagsy"): ("blog", "/tagsy"),
        ("blog.example.com", "/tags/new?a=1"): ("tags", "/new?a=1"),
        ("old.blog.example.com", "/tags"): ("blog", "/tags"),
        ("shop.example.com", "/tags"): ("shop", "/tags"),
        ("nobody.example.com", "/"): ("other", "/"),
    }
    async with sites.running(), HttpClient(sites.port) as http:
        for (host, path), (name, seen) in expected.items():
            answer = (await http.get(path, Host=host)).json()
            assert (answer["text"], answer["path"]) == (f"{name} one", seen)


@pytest.mark.long
async def test_three_sites_are_deployed_three_times_each_under_load(make_sites: MakeSites) -> None:
    sites = make_sites("blog", "shop", "wiki")
    async with sites.running(), sites.loaded() as loads:
        for text in ("two", "three", "four"):
            revisions = {name: sites[name].commit(text) for name in sites.sites}
            for name, revision in revisions.items():
                status = await sites.until_live(name, revision)
                receipt = status["last_swap"]
                assert (receipt["outcome"], receipt["cut"], receipt["failed"]) == ("promoted", 0, 0)
                await loads[name].until_text(f"{name} {text}")
    for name, load in loads.items():
        texts = [f"{name} {text}" for text in ("one", "two", "three", "four")]
        assert list(dict.fromkeys(load.texts)) == texts


async def test_a_site_is_deployed_while_another_one_starts_slowly(make_sites: MakeSites) -> None:
    sites = make_sites("blog", "shop")
    async with sites.running():
        slow = sites["blog"].app.draft("blog two")
        barrier = sites["blog"].app.put_up("start", slow)
        done = await sites.cli("swap", slow, "--no-wait", "--site", "blog")
        assert done.code == 0, done.err
        reached = barrier.with_name(f"{barrier.name}.reached")
        await until("blog's candidate starts", reached.exists)
        await sites.until_live("shop", sites["shop"].commit("two"))
        assert (await sites.status_of("blog"))["step"] is not None
        assert await sites.text_of("blog") == "one"
        sites["blog"].app.take_down_barriers()
        await sites.until_live("blog", slow)


def noted(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def build_slowly(sites: SeveralSites, notes: Path, waits: Path) -> None:
    """From now on each build notes its site, and waits while that file is there."""
    for name in sites.sites:
        words = ["sh", "-c", BUILD, "sh", name, str(notes), str(waits)]
        sites.change(name, release={"build": words})


async def test_a_build_waits_for_that_of_another_site(
    make_sites: MakeSites, tmp_path: Path
) -> None:
    sites = make_sites("blog", "shop", build={"at_once": 1})
    notes, waits = tmp_path / "notes", tmp_path / "waits"
    build_slowly(sites, notes, waits)
    async with sites.running(), sites.loaded():
        waits.touch()
        before = len(noted(notes))
        first = sites["blog"].commit("two")
        await until("a build", lambda: noted(notes)[before:] == ["begin blog"])
        second = sites["shop"].commit("two")

        async def waits_for_its_turn() -> bool:
            return bool((await sites.status_of("shop"))["step"] == "wait to build")

        await until("shop waits for its turn", waits_for_its_turn)
        assert noted(notes)[before:] == ["begin blog"]
        waits.unlink()
        await sites.until_live("blog", first)
        await sites.until_live("shop", second)
    assert noted(notes)[before:] == ["begin blog", "end blog", "begin shop", "end shop"]


async def test_as_many_builds_run_at_once_as_the_setting_allows(
    make_sites: MakeSites, tmp_path: Path
) -> None:
    sites = make_sites("blog", "shop", build={"at_once": 2})
    notes, waits = tmp_path / "notes", tmp_path / "waits"
    build_slowly(sites, notes, waits)
    async with sites.running():
        waits.touch()
        revisions = {name: sites[name].commit("two") for name in sites.sites}
        await until("both build", lambda: sorted(noted(notes)[-2:]) == ["begin blog", "begin shop"])
        waits.unlink()
        for name, revision in revisions.items():
            await sites.until_live(name, revision)


async def test_commands_find_their_site_by_name_and_by_directory(make_sites: MakeSites) -> None:
    sites = make_sites("blog", "shop")
    async with sites.running():
        for name in sites.sites:
            await sites.until_live(name, sites[name].commit("two"))
        done = await sites.cli("rollback", cwd=sites["blog"].checkout)
        assert done.code == 0, done.err
        assert (await sites.text_of("blog"), await sites.text_of("shop")) == ("one", "two")
        done = await sites.cli("rollback", "--site", "shop", cwd=sites["blog"].checkout)
        assert done.code == 0, done.err
        assert (await sites.text_of("blog"), await sites.text_of("shop")) == ("one", "one")
        done = await sites.cli("rollback", cwd=sites.directory)
        assert done.code == 2
        assert "blog" in done.err and "shop" in done.err
