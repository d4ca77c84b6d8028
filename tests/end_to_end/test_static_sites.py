"""The life of a site that has files and no app."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from tests.support.killed import killed_at_the_end, until_remembered
from tests.support.other_users import DAEMON, NOBODY, as_root, give_to
from tests.support.several_sites import SeveralSites
from tests.support.static_site import StaticSite, script_of, visited
from tests.waiting import until

MakeStatic = Callable[..., StaticSite]
MakeSites = Callable[..., SeveralSites]

AFTER_BARRIER = "while [ -e $BARRIERS/build ]; do sleep 0.01; done; cp -r public dist"


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
        shown = (await site.real.cli("status")).out
        assert "files  / from public; and from 1 earlier release" in shown
        assert "a static site, went live" in shown
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

        async def statuses() -> list[int]:
            texts = ("one", "two", "three")
            return [(await site.real.get(script_of(text))).status for text in texts]

        async def is_pruned() -> bool:
            return await statuses() == [404, 200, 200]  # The previous one, and one more.

        await until("the first one is deleted", is_pruned)
        await until("it is remembered", lambda: len(site.real.remembered()["served"]) == 3)


@pytest.mark.long
async def test_over_ten_swaps_under_load_no_request_fails_and_no_asset_is_missing(
    make_static: MakeStatic, is_timed: bool
) -> None:
    site = make_static()
    first = site.publish("first")
    async with site.real.running():
        await site.real.until_live(first)
        seconds = []
        async with visited(site.real.port) as visits:
            for number in range(10):
                async with visits.during_a_swap():
                    status = await site.real.until_live(site.publish(f"number {number}"))
                    seconds.append(sum(status["last_swap"]["seconds"].values()))
    assert not is_timed or max(seconds) < 0.5


@pytest.mark.long
async def test_a_static_site_is_built_again_beside_the_live_build(make_static: MakeStatic) -> None:
    build = ["sh", "-c", "cp -r public dist; date +%N >dist/built.html"]
    site = make_static(release={"build": build}, files={"/": "dist"})
    one = site.publish("one")
    async with site.real.running():
        await site.real.until_live(one)
        before = await site.text("/built")
        assert (await site.real.cli("swap", "--rebuild")).code == 0
        assert await site.text("/built") != before
        assert (await site.real.cli("restart")).code == 0
        assert "<title>one" in await site.text()


@as_root
@pytest.mark.long
async def test_roots_supervisor_serves_what_the_user_of_the_app_may_read(directory: Path) -> None:
    build = ["sh", "-ec", "cp -r public dist; echo no >dist/secret.txt; chmod 0 dist/secret.txt"]
    site = StaticSite(directory, release={"build": build}, files={"/": "dist"})
    site.real.configure(app={"user": "nobody"})
    one = site.publish("one")
    give_to(DAEMON, site.real.checkout)
    async with site.real.running():
        await site.real.until_live(one)
        release = site.real.state / "releases" / site.real.releases()[0]
        assert (release / "dist").stat().st_uid == NOBODY.pw_uid
        assert "<title>one" in await site.text()
        assert (await site.real.get("/secret.txt")).status == 404


@pytest.mark.long
async def test_a_stop_lets_a_download_finish(make_static: MakeStatic) -> None:
    site = make_static()
    one = site.publish("one", large="x" * 30_000_000)
    async with site.real.running():
        await site.real.until_live(one)
        stream = await trio.open_tcp_stream("127.0.0.1", site.real.port)
        async with stream, trio.open_nursery() as nursery:
            await stream.send_all(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            received = len(await stream.receive_some(100))
            nursery.start_soon(site.real.stop)
            await site.real.until_logged("stopping: finishing in-flight requests first")
            async for data in stream:
                received += len(data)
    assert received > 30_000_000
