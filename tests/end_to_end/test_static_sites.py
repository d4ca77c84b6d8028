"""The life of a site that has files and no app."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.support.admin import Admin
from tests.support.http_client import HttpClient
from tests.support.killed import killed_at_the_end, until_remembered
from tests.support.several_sites import SeveralSites
from tests.support.static_site import StaticSite, publish, script_of, visited
from tests.waiting import until

MakeStatic = Callable[..., StaticSite]
MakeSites = Callable[..., SeveralSites]

AFTER_BARRIER = "while [ -e $BARRIERS/build ]; do sleep 0.01; done; cp -r public dist"


@pytest.fixture
def make_static(tmp_path: Path) -> MakeStatic:
    def make(**sections: dict[str, Any]) -> StaticSite:
        return StaticSite(tmp_path, **sections)

    return make


async def test_a_static_site_is_swapped_without_a_process_and_keeps_its_old_assets(
    make_static: MakeStatic,
) -> None:
    site = make_static()
    one = site.publish("one", about="of one")
    async with site.real.running():
        status = await site.real.until_live(one)
        assert "<title>one" in await site.text()
        assert (status["live"]["ports"], status["live"]["pids"]) == ([], [])
        status = await site.real.until_live(site.publish("two"))
        assert status["last_swap"]["seconds"].keys() == {"checkout", "switch"}
        assert "<title>two" in await site.text()
        assert "one runs" in await site.text(script_of("one"))
        assert (await site.real.get("/about")).status == 404
        assert site.real.processes() == []
        done = await site.real.cli("rollback")
        assert done.code == 0, done
        assert "<title>one" in await site.text()
        assert "two runs" in await site.text(script_of("two"))


async def test_a_release_without_its_directory_fails_its_swap_and_is_in_quarantine(
    make_static: MakeStatic,
) -> None:
    build = ["sh", "-c", "[ ! -e public/about.html ] || cp -r public dist"]
    site = make_static(release={"build": build}, files={"/": "dist"})
    one = site.publish("one", about="of one")
    async with site.real.running():
        await site.real.until_live(one)
        broken = site.publish("broken")
        done = await site.real.cli("swap", "--json")
        assert done.code == 1
        assert "the release has no directory dist: does build" in json.loads(done.out)["reason"]
        status = await site.real.status()
        assert list(status["quarantined"]) == [broken]
        assert "<title>one" in await site.text()
        assert (await site.real.get(script_of("broken"))).status == 404
        await site.real.until_live(site.publish("two", about="of two"))
        assert (await site.real.get(script_of("broken"))).status == 404


@pytest.mark.long
async def test_requests_wait_for_the_first_release(make_static: MakeStatic) -> None:
    site = make_static(release={"build": ["sh", "-c", AFTER_BARRIER]}, files={"/": "dist"})
    site.real.configure(app={"env": site.real.app.env})
    barrier = site.real.barriers / "build"
    barrier.touch()
    one = site.publish("one")
    answers: list[str] = []

    async def get() -> None:
        answers.append(await site.text())

    async with site.real.running(wait_for="starting"), trio.open_nursery() as nursery:
        for _ in range(30):  # More than are released at once.
            nursery.start_soon(get)

        async def all_wait() -> bool:
            return bool((await site.real.status())["held"] == 30)

        await until("all requests wait", all_wait)
        barrier.unlink()
        await site.real.until_live(one)
        await until("all are answered", lambda: len(answers) == 30)
        assert all("<title>one" in answer for answer in answers)


@pytest.mark.long
async def test_after_a_kill_the_last_release_is_served_at_once_and_old_assets_too(
    make_static: MakeStatic,
) -> None:
    site = make_static(release={"build": ["sh", "-c", "cp -r public dist"]}, files={"/": "dist"})
    one = site.publish("one")
    async with killed_at_the_end(site.real):
        await site.real.until_live(one)
        two = site.publish("two")
        await site.real.until_live(two)
        await until_remembered(site.real, two)
    async with site.real.running():
        assert "<title>two" in await site.text()
        assert "one runs" in await site.text(script_of("one"))
        await site.real.until_live(site.publish("three"))
        assert "one runs" in await site.text(script_of("one"))


@pytest.mark.long
async def test_an_upgrade_in_place_under_load_fails_no_request_and_keeps_old_assets(
    make_static: MakeStatic,
) -> None:
    site = make_static()
    one = site.publish("one")
    async with site.real.running():
        await site.real.until_live(one)
        two = site.publish("two")
        await site.real.until_live(two)
        async with visited(site.real.port):
            for _ in range(2):
                done = await site.real.cli("upgrade")
                assert done.code == 0, done
                assert "one runs" in await site.text(script_of("one"))
        await site.real.until_live(two)
        await site.real.until_live(site.publish("three"))
        assert "one runs" in await site.text(script_of("one"))


@pytest.mark.long
async def test_a_pause_holds_its_requests(make_static: MakeStatic) -> None:
    site = make_static()
    one = site.publish("one")
    async with site.real.running():
        await site.real.until_live(one)
        assert (await site.real.cli("pause")).code == 0
        async with trio.open_nursery() as nursery:

            async def get() -> None:
                assert "<title>one" in await site.text()

            nursery.start_soon(get)

            async def waits() -> bool:
                return bool((await site.real.status())["held"])

            await until("the request waits", waits)
            assert (await site.real.cli("resume")).code == 0


@pytest.mark.long
async def test_the_list_of_old_assets_is_pruned(make_static: MakeStatic) -> None:
    site = make_static(release={"keep": 1})
    site.publish("one")
    async with site.real.running():
        for text in ("two", "three", "four"):
            await site.real.until_live(site.publish(text))
        # Live, previous, and one more.
        found = [(await site.real.get(script_of(text))).status for text in ("one", "two", "three")]
        assert found == [404, 200, 200]
        await until("it is remembered", lambda: len(site.real.remembered()["served"]) == 3)


@pytest.mark.long
async def test_a_site_loses_and_gets_an_app_by_a_reload(make_static: MakeStatic) -> None:
    site = make_static(swap={"soak": "200ms"}, app={"command": ["sleep", "1"]})
    real = site.real
    app = type(real)(real.directory / "other").sections["app"]
    real.configure(app={**app, "env": real.app.env}, health={"path": "/healthz"})
    one = site.publish("one")
    async with real.running():
        await real.until_live(one)
        assert "<title>one" in await site.text()
        assert (await real.get("/other")).json()["revision"] == one
        async with visited(real.port):
            real.sections["app"], real.sections["swap"] = {"name": "test"}, {}
            del real.sections["health"]
            real.configure()
            assert (await real.cli("reload")).code == 0
            assert (await real.get("/other")).json()["revision"] == one
            status = await real.until_live(site.publish("two"))
            assert status["live"]["pids"] == []
            assert (await real.get("/other")).status == 404
            await until("the app has ended", lambda: real.processes() == [])
            real.configure(app={**app, "env": real.app.env}, health={"path": "/healthz"})
            assert (await real.cli("reload")).code == 0
            three = site.publish("three")
            await real.until_live(three)
            assert (await real.get("/other")).json()["revision"] == three


@pytest.mark.long
async def test_static_sites_beside_an_app(make_sites: MakeSites) -> None:
    sites = make_sites("shop")
    admin = Admin(sites)
    for name in ("blog", "wiki"):
        site = sites.add(name, redirect_hosts=[f"www.{name}.example.com"])
        make_static_site(sites, name)
        publish(site.checkout, f"{name} one")
    async with sites.running(), sites.loaded("shop"):
        for name in ("blog", "wiki"):
            answer = await sites.get(name)
            assert f"<title>{name} one" in answer.body.decode()
            async with HttpClient(sites.port) as http:
                moved = await http.get("/a?b", Host=f"www.{name}.example.com")
                assert (moved.status, moved.headers["location"]) == (
                    308, f"http://{name}.example.com/a?b",
                )  # fmt: skip
        await sites.until_live("blog", publish(sites["blog"].checkout, "blog two"))
        assert "<title>blog two" in (await sites.get("blog")).body.decode()
        assert "<title>wiki one" in (await sites.get("wiki")).body.decode()
        assert await admin.ready() == (200, "ready")
        metrics = await admin.metrics()
        assert metrics["blue_green_requests_total", "blog", "200"] >= 1
        status = await sites.cli("status")
        assert status.code == 0
        assert "blog" in status.out
        one = await sites.cli("status", "blog")
        assert "a static site, since" in one.out


def make_static_site(sites: SeveralSites, name: str) -> None:
    settings = sites[name].settings
    settings["app"], settings["swap"] = {}, {}
    del settings["health"]
    sites.change(name, files={"/": "public"})


@pytest.mark.long
async def test_a_static_site_is_added_and_removed_by_a_reload(make_sites: MakeSites) -> None:
    sites = make_sites("shop")
    async with sites.running(), sites.loaded("shop"):
        site = sites.add("blog")
        make_static_site(sites, "blog")
        publish(site.checkout, "blog one")
        assert (await sites.cli("reload")).code == 0
        assert "<title>blog one" in (await sites.get("blog")).body.decode()
        sites.file_of("blog").unlink()
        assert (await sites.cli("reload")).code == 0
        assert (await sites.get("blog")).status == 404
        del sites.sites["blog"]


@pytest.mark.long
async def test_over_ten_swaps_under_load_no_request_fails_and_no_asset_is_missing(
    make_static: MakeStatic,
) -> None:
    site = make_static()
    first = site.publish("first")
    async with site.real.running():
        await site.real.until_live(first)
        seconds = []
        async with visited(site.real.port) as visits:
            for number in range(10):
                status = await site.real.until_live(site.publish(f"number {number}"))
                seconds.append(sum(status["last_swap"]["seconds"].values()))
                await trio.sleep(0.2)
        assert visits.late_scripts > 5
        print(json.dumps(seconds), visits.pages, visits.late_scripts)
        assert max(seconds) < 1
