"""Rollback: instant while the old release is warm, and without a build afterwards."""

from collections.abc import Callable

import trio

from tests.support.http_client import HttpClient
from tests.support.site import RealSite
from tests.waiting import until

MakeSite = Callable[..., RealSite]

SEVERAL_LOOKS = 0.6
"""Seconds in which the watcher has looked at HEAD a few times."""


async def test_a_rollback_while_the_old_release_is_warm_is_instant(
    make_site: MakeSite, is_timed: bool
) -> None:
    site = make_site(swap={"soak": "30s"})
    one = site.commit("one")
    async with site.running(), site.steady_load() as texts:
        warm = (await site.status())["live"]
        two = site.commit("two")
        await until("the new one answers", lambda: "two" in texts)
        async with HttpClient(site.port) as http, trio.open_nursery() as nursery:
            assert (await http.get("/")).json()["text"] == "two"
            began = trio.current_time()
            nursery.start_soon(site.ask, "rollback")
            while (await http.get("/")).json()["text"] != "one":
                assert trio.current_time() - began < 1
            took = trio.current_time() - began
            print(f"the old one answered after {took * 1000:.1f} ms")
            assert took < (0.1 if is_timed else 1)
        status = await site.until_live(one)
        assert [status["live"][key] for key in ("slot", "pids")] == [warm["slot"], warm["pids"]]
        assert status["last_swap"]["outcome"] == "reverted"
        assert (status["quarantined"], status["previous"]) == ({}, two)
        await trio.sleep(SEVERAL_LOOKS)  # HEAD is still at `two`.
        status = await site.status()
        assert (status["live"]["pids"], status["wanted"]) == (warm["pids"], one)


async def test_a_release_that_fails_its_probes_during_the_soak_is_rolled_back(
    make_site: MakeSite,
) -> None:
    site = make_site(swap={"soak": "30s"}, health={"fall": 2})
    good = site.commit("good")
    async with site.running(), site.steady_load() as texts:
        warm = (await site.status())["live"]
        bad = site.commit("bad", well_for=2)
        await until("the new one answers", lambda: "bad" in texts)
        status = await site.until_live(good)
        why = "2 probes in a row failed: GET /healthz was answered 500"
        assert status["quarantined"] == {bad: why}
        assert status["last_swap"]["outcome"] == "reverted"
        await trio.sleep(SEVERAL_LOOKS)  # HEAD is still at `bad`.
        status = await site.status()
        assert (status["live"]["pids"], status["wanted"]) == (warm["pids"], good)
        await site.until_only_run(warm["pids"])


async def test_a_rollback_afterwards_does_not_build_and_a_second_goes_forward(
    make_site: MakeSite,
) -> None:
    site = make_site(release={"build": ["sh", "-c", "echo built >>$JOURNAL.builds"]})
    builds = site.journal_file.with_suffix(".builds")
    one = site.commit("one")
    async with site.running(), site.steady_load():
        two = site.commit("two")
        await site.until_live(two)
        for revision, other in ((one, two), (two, one)):
            done = await site.cli("rollback")
            assert (done.code, done.out.splitlines()[-2]) == (0, f"promoted {revision[:7]}")
            await trio.sleep(SEVERAL_LOOKS)
            status = await site.until_live(revision)
            assert status["previous"] == other
        assert builds.read_text().split() == ["built", "built"]


async def test_a_rollback_without_a_previous_release_is_refused(make_site: MakeSite) -> None:
    site = make_site()
    site.commit("one")
    async with site.running():
        done = await site.cli("rollback")
        assert (done.code, done.out) == (1, "")
        assert done.err == "blue-green: there is no previous release to go back to\n"


async def test_a_rollback_cancels_a_swap_that_has_not_switched(make_site: MakeSite) -> None:
    site = make_site()
    one = site.commit("one")
    async with site.running():
        await site.until_live(two := site.commit("two"))
        three = site.draft("three", start_delay=600)
        await site.ask("swap", revision=three, wait=False)
        await until("the third starts", lambda: len(site.journal("set up")) == 3)
        assert (await site.cli("rollback")).code == 0
        status = await site.until_live(one)
        assert (status["previous"], status["quarantined"]) == (two, {})
        await site.until_only_run(status["live"]["pids"])


async def test_a_commit_that_waited_for_the_soak_does_not_come_back_after_a_restart(
    make_site: MakeSite,
) -> None:
    """Who rolls back takes what was wanted back, also the commit that waited for its turn."""
    site = make_site(swap={"soak": "30s"})
    one = site.commit("one")
    async with site.running():
        two = site.commit("two")

        async def wanted(revision: str) -> bool:
            return bool((await site.status())["wanted"] == revision)

        async def soaks() -> bool:
            return bool((await site.status())["step"] == "soak")

        await until("the second soaks", soaks)
        three = site.commit("three")
        await until("the third is next", lambda: wanted(three))
        assert (await site.cli("rollback")).code == 0
        assert (await site.until_live(one))["previous"] == two
    async with site.running():
        await trio.sleep(SEVERAL_LOOKS)
        status = await site.status()
        assert (status["live"]["revision"], status["wanted"]) == (one, one)
