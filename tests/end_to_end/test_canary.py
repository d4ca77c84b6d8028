"""A canary under load: the new release serves a share of the visitors, and nobody notices more."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from tests.support.app_checkout import git
from tests.support.site import RealSite
from tests.support.swaps import outcomes, reaches
from tests.support.visitors import PROXIES, Visitors
from tests.waiting import until

MakeSite = Callable[..., RealSite]


def a_site(make_site: MakeSite, **sections: dict[str, object]) -> RealSite:
    return make_site(proxy=PROXIES, **sections)


async def begin(site: RealSite, revision: str, share: str = "50%", *more: str) -> None:
    done = await site.cli("swap", revision, "--canary", share, "--no-wait", *more)
    assert done.code == 0, done.err
    await reaches(site, "canary")


async def test_a_canary_is_for_a_share_of_the_visitors_and_always_the_same(
    make_site: MakeSite,
) -> None:
    site = a_site(make_site)
    one = site.commit("one")
    async with site.running(), Visitors(site.port).going_on() as visitors:
        two = site.draft("two")
        await begin(site, two)
        await visitors.all_got_more()
        visitors.forget()
        await visitors.all_got_more()
        assert 8 < len(visitors.who_got(two)) < 32
        assert visitors.who_got(one) | visitors.who_got(two) == set(visitors.last())
        assert visitors.wavering() == []
        assert {visitor.cookies_set for visitor in visitors.everybody} == {1}
        status = await site.status()
        assert (status["live"]["revision"], status["candidate"]["revision"]) == (one, two)
        trial = status["trial"]
        assert (trial["kind"], trial["percent"], trial["revision"]) == ("canary", 50, two)
        assert 0 < trial["seconds_left"] <= 600
        before = visitors.who_got(two)
        await site.ask("swap", revision=two, canary=80, wait=False)
        await visitors.all_got_more()
        assert before < visitors.who_got(two)
        assert (await site.cli("promote")).code == 0
        await visitors.all_got_more()
        assert visitors.who_got(two) == set(visitors.last())
    assert visitors.failures == []
    assert outcomes(site)[-1] == ("promoted", two)


@pytest.mark.long
async def test_an_aborted_canary_is_gone_for_all_and_loses_nothing(make_site: MakeSite) -> None:
    site = a_site(make_site)
    one = site.commit("one")
    async with site.running(), Visitors(site.port, path="/?slow=0.3").going_on() as visitors:
        two = site.draft("two")
        await begin(site, two, "60%")
        await visitors.all_got_more()
        assert visitors.who_got(two)
        done = await site.cli("abort")
        assert done.code == 0
        assert f"aborted {two[:7]}: somebody ran blue-green abort\n" in done.out
        await visitors.all_got_more()
        assert visitors.who_got(one) == set(visitors.last())
        status = await site.until_live(one)
        assert (status["trial"], status["quarantined"]) == (None, {})
        await site.until_only_run(status["live"]["pids"])
    assert visitors.failures == []
    receipt = site.remembered()["history"][-1]
    assert (receipt["outcome"], receipt["cut"]) == ("aborted", 0)


@pytest.mark.long
async def test_it_is_promoted_when_its_time_is_over(make_site: MakeSite) -> None:
    site = a_site(make_site, swap={"canary": "30%", "canary_for": "1s"})
    site.commit("one")
    async with site.running(), Visitors(site.port).going_on() as visitors:
        two = site.commit("two")
        await reaches(site, "canary")
        await site.until_live(two)
        await visitors.all_got_more()
        assert visitors.who_got(two) == set(visitors.last())
    assert visitors.failures == []


@pytest.mark.long
async def test_a_candidate_that_dies_is_reverted_and_its_requests_go_to_the_live_release(
    make_site: MakeSite,
) -> None:
    site = a_site(make_site)
    one = site.commit("one")
    async with site.running(), Visitors(site.port, path="/?slow=0.1").going_on() as visitors:
        two = site.draft("two")
        await begin(site, two)
        await visitors.all_got_more()
        assert visitors.who_got(two)
        [pid] = (await site.status())["candidate"]["pids"]

        os.kill(pid, signal.SIGKILL)
        status = await site.until_live(one)
        await visitors.all_got_more()
        assert visitors.who_got(one) == set(visitors.last())
        assert status["quarantined"] == {two: "the app was killed by SIGKILL"}
    assert visitors.failures == []
    assert outcomes(site)[-1] == ("reverted", two)


@pytest.mark.long
async def test_a_newer_swap_supersedes_it(make_site: MakeSite) -> None:
    site = a_site(make_site)
    site.commit("one")
    async with site.running(), Visitors(site.port, path="/?slow=0.2").going_on() as visitors:
        two = site.draft("two")
        await begin(site, two)
        await visitors.all_got_more()
        assert visitors.who_got(two)
        three = site.commit("three")
        await site.until_live(three)
        await visitors.all_got_more()
        assert visitors.who_got(three) == set(visitors.last())
    assert visitors.failures == []
    assert outcomes(site)[-2:] == [("superseded", two), ("promoted", three)]


@pytest.mark.long
async def test_when_the_live_release_dies_only_its_own_visitors_wait(make_site: MakeSite) -> None:
    site = a_site(make_site)
    one = site.commit("one", start_delay=1)
    async with site.running(), Visitors(site.port, path="/").going_on() as visitors:
        two = site.draft("two")
        await begin(site, two)
        await visitors.all_got_more()
        inside = visitors.who_got(two)
        [pid] = (await site.status())["live"]["pids"]

        visitors.forget()
        os.kill(pid, signal.SIGKILL)
        await until("requests are held", lambda: held(site))
        await trio.sleep(0.3)
        assert all(
            len(visitor.got) > 2 for visitor in visitors.everybody if visitor.address in inside
        )
        await visitors.all_got_more()
        assert visitors.wavering() == []
        status = await site.status()
        assert (status["live"]["revision"], status["step"]) == (one, "canary")
    assert visitors.failures == []


async def held(site: RealSite) -> int:
    count: int = (await site.status())["held"]
    return count


@pytest.mark.long
async def test_a_canary_that_the_supervisor_did_not_survive_is_reported(
    make_site: MakeSite,
) -> None:
    site = a_site(make_site)
    one = site.commit("one")
    async with site.running():
        two = site.draft("two")
        await begin(site, two)
    async with site.running():
        status = await site.until_live(one)
        assert status["trial"] is None
    assert outcomes(site)[-1] == ("aborted", two)
    assert site.remembered()["history"][-1]["reason"] == "the site was stopped during its canary"


@pytest.mark.long
async def test_an_upgrade_in_place_is_refused_during_a_canary(make_site: MakeSite) -> None:
    site = a_site(make_site)
    site.commit("one")
    async with site.running():
        two = site.draft("two")
        await begin(site, two)
        done = await site.cli("upgrade")
        assert (done.code, done.err) == (
            1,
            "blue-green: there is a canary, which only one program can carry out. Before an "
            "upgrade, decide: blue-green promote makes it live, blue-green abort ends it\n",
        )
        assert (await site.cli("abort")).code == 0
        assert (await site.cli("upgrade")).code == 0


@pytest.mark.long
@pytest.mark.parametrize("command", ["abort", "rollback"])
@pytest.mark.parametrize("phase", ["build", "probe"])
async def test_a_canary_ends_in_the_build_and_in_the_start_before_it(
    make_site: MakeSite, command: str, phase: str
) -> None:
    build = ["sh", "-c", "test ! -e slow || sleep 600"]
    site = make_site(release={"build": build}, health={"start_timeout": "600s"})
    one = site.commit("one")
    async with site.running():
        files = {"slow": ""} if phase == "build" else {}
        two = site.draft("two", files, start_delay=0 if phase == "build" else 600)
        await site.ask("swap", revision=two, canary=50, wait=False)
        await reaches(site, phase)
        refused = await site.cli("promote")
        assert f"blue-green swap {two[:7]} --canary 0%" in refused.err
        done = await site.cli(command)
        assert done.code == 0, done
        assert f"aborted {two[:7]}: " in done.out
        status = await site.until_live(one)
        await site.until_only_run(status["live"]["pids"])
        assert status["quarantined"] == {}
    assert outcomes(site)[-1] == ("aborted", two)


@pytest.mark.long
async def test_there_is_no_canary_of_a_release_that_is_live_already(make_site: MakeSite) -> None:
    site = make_site()
    site.commit("one")
    async with site.running():
        done = await site.cli("swap", "--canary", "10%")
        assert (done.code, "it is already live, so there was no canary" in done.out) == (0, True)
        done = await site.cli("swap", "--preview", "--no-wait")
        assert "is live already, so there is no preview" in done.out


@pytest.mark.long
async def test_a_commit_that_was_fetched_gets_a_canary_though_the_checkout_is_watched(
    make_site: MakeSite, tmp_path: Path
) -> None:
    """As docs/canary.md shows it."""
    site, origin = make_site(), tmp_path / "origin.git"
    site.commit("one")
    async with site.running():
        git(tmp_path, "clone", "-q", "--bare", str(site.checkout), str(origin))
        git(site.checkout, "remote", "add", "origin", str(origin))
        two = site.draft("two")
        git(site.checkout, "push", "-q", "origin", f"{two}:main")
        await begin(site, "origin/main")
        assert (await site.status())["trial"]["revision"] == two
        assert (await site.cli("promote")).code == 0
        pull = ("pull", "-q", "--ff-only", "origin", "main")
        await trio.to_thread.run_sync(git, site.checkout, *pull)

        async def has_seen_head() -> bool:
            return bool((await site.status())["head"] == two)

        await until("the watch has seen it", has_seen_head)
        assert (await site.until_live(two))["why"] == ""
    assert outcomes(site)[-1] == ("promoted", two)
