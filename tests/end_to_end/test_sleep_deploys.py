"""Deploys to a site that is asleep: they go live, and the site sleeps on."""

from collections.abc import Callable

import pytest
import trio

from tests.support.site import RealSite
from tests.support.sleeping import SOON, held_requests, is_asleep, sleeping, until_asleep
from tests.support.swaps import outcomes, reaches
from tests.waiting import until

MakeSite = Callable[..., RealSite]
pytestmark = pytest.mark.long


async def until_asleep_with(site: RealSite, revision: str) -> None:
    """Wait until the site is asleep and this release is live."""

    async def look() -> bool:
        live = (await site.status())["live"]["revision"]
        return await is_asleep(site) and bool(live == revision)

    await until(f"it is asleep, with {revision[:7]}", look)


@pytest.mark.parametrize("strategy", ["overlap", "exclusive"])
async def test_a_swap_and_a_rollback_while_asleep_go_live_and_the_site_sleeps_on(
    make_site: MakeSite, strategy: str
) -> None:
    site = make_site(idle={"after": "3s"}, swap={"strategy": strategy, "soak": "500ms"})
    one = site.commit("one")
    async with site.running():
        await until_asleep(site)
        two = site.commit("two")
        await site.until_live(two)
        began = trio.current_time()
        await until_asleep_with(site, two)
        assert trio.current_time() - began < 2.5, "nobody has used it: it does not wait for 3 s"
        assert site.processes() == []
        unchanged = await site.cli("swap", "HEAD")
        assert "already live" in unchanged.out
        assert await is_asleep(site)
        assert (await site.cli("rollback")).code == 0
        await until_asleep_with(site, one)
        assert (await site.cli("restart")).code == 0
        await until_asleep_with(site, one)
        assert site.processes() == []
        assert (await site.status())["sleep"]["wakes"] == 0
        assert (await site.get("/")).json()["revision"] == one


async def test_a_release_that_fails_while_the_site_is_asleep_is_not_live(
    make_site: MakeSite,
) -> None:
    site = make_site(idle=SOON)
    async with sleeping(site) as one:
        two = site.commit("two", raises="no")
        await until("it has failed", lambda: ("failed", two) in outcomes(site))
        assert await is_asleep(site)
        assert (await site.get("/")).json()["revision"] == one


async def test_an_exclusive_swap_that_fails_while_asleep_brings_the_old_release_back(
    make_site: MakeSite,
) -> None:
    site = make_site(idle=SOON, swap={"strategy": "exclusive"})
    async with sleeping(site) as one:
        two = site.commit("two", raises_on=site.green)
        await until("it has failed", lambda: ("failed", two) in outcomes(site))
        await until_asleep_with(site, one)
        assert (await site.get("/")).json()["revision"] == one


@pytest.mark.parametrize("strategy", ["overlap", "exclusive"])
async def test_a_request_during_the_build_wakes_the_live_release(
    make_site: MakeSite, strategy: str
) -> None:
    gate = '[ -e "$BARRIERS/built" ] || [ ! -e "$BARRIERS/wait" ]'
    build = ["sh", "-c", f"until {gate}; do sleep 0.02; done"]
    site = make_site(idle=SOON, release={"build": build}, swap={"strategy": strategy})
    async with sleeping(site) as one:
        (site.barriers / "wait").touch()
        two = site.commit("two")
        await reaches(site, "build")
        for _ in range(2):
            assert (await site.get("/")).json()["revision"] == one
        await trio.sleep(1)
        assert (await site.status())["live"]["pids"] != [], "no site sleeps during its swap"
        (site.barriers / "built").touch()
        await until_asleep_with(site, two)
        assert (await site.get("/")).json()["revision"] == two


@pytest.mark.parametrize("strategy", ["overlap", "exclusive"])
async def test_a_switch_while_the_old_release_wakes_answers_the_requests_that_wait(
    make_site: MakeSite, strategy: str
) -> None:
    site = make_site(idle=SOON, swap={"strategy": strategy})
    async with sleeping(site) as one:
        site.put_up("start", one)
        async with held_requests(site, "/a", "/b") as answers:
            two = site.commit("two")
            await until("it is live", lambda: len(answers) == 2)
        assert [answer.json()["revision"] for answer in answers] == [two, two]
        site.take_down_barriers()
        await until_asleep_with(site, two)
        assert site.processes() == []


async def test_no_site_falls_asleep_while_its_old_release_retires(make_site: MakeSite) -> None:
    site = make_site(idle=SOON, swap={"stream_timeout": "3s"})
    site.commit("one")
    async with site.running(wait_for="asleep"):
        async with await trio.open_tcp_stream("127.0.0.1", site.port) as stream:
            await stream.send_all(b"GET /events HTTP/1.1\r\nHost: test.example\r\n\r\n")
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 200 ")
            two = site.commit("two")
            await site.until_live(two)
            await trio.sleep(1)
            status = await site.status()
            assert (status["phase"], bool(status["retiring"])) == ("serving", True)
        await until_asleep_with(site, two)


async def test_a_release_that_fails_in_its_soak_makes_the_one_that_slept_serve_again(
    make_site: MakeSite,
) -> None:
    site = make_site(idle={"after": "2s"}, swap={"soak": "20s"})
    one = site.commit("one")
    async with site.running():
        await until_asleep(site)
        two = site.commit("two", healthy_for=3)
        await until("it is reverted", lambda: ("reverted", two) in outcomes(site))
        assert (await site.get("/")).json()["revision"] == one
        await until_asleep_with(site, one)
        assert site.processes() == []


async def test_a_rollback_in_the_soak_brings_back_a_release_that_slept(
    make_site: MakeSite,
) -> None:
    site = make_site(idle={"after": "2s"}, swap={"soak": "60s"})
    one = site.commit("one")
    async with site.running():
        await until_asleep(site)
        two = site.commit("two")
        await reaches(site, "soak")
        async with site.steady_load():
            assert (await site.get("/")).json()["revision"] == two
            assert "reverted" in (await site.cli("rollback")).out
            assert (await site.get("/")).json()["revision"] == one
        await until_asleep_with(site, one)


async def test_a_deploy_mends_a_site_that_fails_to_wake(make_site: MakeSite) -> None:
    site = make_site(idle=SOON)
    broken = site.directory / "broken"
    async with sleeping(site, raises_while_there_is=str(broken)):
        broken.touch()
        assert (await site.get("/")).status == 503
        two = site.commit("two")

        async def is_mended() -> bool:
            answer = await site.get("/")
            return answer.status == 200 and bool(answer.json()["revision"] == two)

        await until("it serves", is_mended)
        await until_asleep_with(site, two)
        assert (await site.get("/")).status == 200
