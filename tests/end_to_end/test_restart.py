"""`restart` replaces the processes of the live release; `swap` respects an earlier rollback."""

import json
from collections.abc import Callable

import pytest

from tests.support.site import RealSite
from tests.support.swaps import lasting, outcomes, reaches
from tests.waiting import until

MakeSite = Callable[..., RealSite]

COUNTED = {
    "build": ["sh", "-c", "echo built >>$JOURNAL.commands"],
    "migrate": ["sh", "-c", "echo migrated >>$JOURNAL.commands"],
}


@pytest.mark.parametrize("strategy", ["overlap", "exclusive"])
async def test_a_restart_replaces_the_processes_and_builds_nothing(
    make_site: MakeSite, strategy: str
) -> None:
    site = make_site(swap={"strategy": strategy}, release=COUNTED)
    one = site.commit("one")
    async with site.running(), site.steady_load():
        before = (await site.status())["live"]["pids"]
        commands = site.journal_file.with_suffix(".commands")
        done_so_far = commands.read_text()
        done = await site.cli("restart", "--json")
        receipt = json.loads(done.out)
        assert (done.code, receipt["outcome"], receipt["revision"]) == (0, "promoted", one)
        assert (receipt["asked_by"], receipt["previous"]) == ("restart", one)
        assert not {"build", "migrate", "checkout"} & receipt["seconds"].keys()
        status = await site.until_live(one)
        assert not set(before) & set(status["live"]["pids"])
        assert status["previous"] is None, "there is nothing else to go back to"
        assert commands.read_text() == done_so_far
        await site.until_only_run(status["live"]["pids"])


async def test_a_restart_shows_its_phases_and_the_receipt(make_site: MakeSite) -> None:
    site = make_site()
    one = site.commit("one")
    async with site.running():
        done = await site.cli("restart")
        *phases, promoted, numbers = done.out.splitlines()
        names = [line.split()[0] for line in phases[1:]]
        assert names == ["start", "probe", "switch", "drain"]
        assert promoted == f"promoted {one[:7]}"
        assert numbers.startswith("held 0, longest 0.0 s, retried 0, cut 0, lost 0, ")


async def test_a_restart_that_fails_leaves_the_running_processes_alone(
    make_site: MakeSite,
) -> None:
    site = make_site()
    broken = site.directory / "broken"
    one = site.commit("one", raises_while_there_is=str(broken))
    async with site.running(), site.steady_load():
        before = await site.status()
        broken.touch()
        done = await site.cli("restart")
        assert done.code == 1
        after = await site.until_live(one)
        assert lasting(after["live"]) == lasting(before["live"])
        assert after["quarantined"] == {}, "it is live"


async def test_in_place_a_restart_does_not_build(make_site: MakeSite) -> None:
    site = make_site(release={"in_place": True, "build": COUNTED["build"]})
    one = site.commit("one")
    async with site.running():
        commands = site.journal_file.with_suffix(".commands")
        assert commands.read_text() == "built\n"
        assert (await site.cli("restart")).code == 0
        await site.until_live(one)
        assert commands.read_text() == "built\n"


async def test_a_restart_cancels_no_swap(make_site: MakeSite) -> None:
    site = make_site()
    site.commit("one")
    async with site.running():
        two = site.draft("two")
        barrier = site.put_up("start", two)
        await site.ask("swap", revision=two, wait=False)
        await reaches(site, "probe")
        done = await site.cli("restart")
        assert done.code == 1
        assert "a swap is in progress, which starts new processes anyway" in done.err
        barrier.unlink()
        await site.until_live(two)


async def test_a_restart_with_nothing_live_is_refused(make_site: MakeSite) -> None:
    site = make_site(health={"start_timeout": "10s"})
    bad = site.commit("bad", raises="no")
    async with site.running(wait_for="failing"):

        async def has_failed() -> bool:
            return bad in (await site.status())["quarantined"]

        await until("its swap has failed", has_failed)
        done = await site.cli("restart")
        assert done.code == 1
        assert "there is no live release to restart" in done.err


# --- after a rollback -----------------------------------------------------------------------


@pytest.mark.parametrize("words", [("--retry",), ()])
async def test_a_rolled_back_revision_is_deployed_again_only_by_name(
    make_site: MakeSite, words: tuple[str, ...]
) -> None:
    site = make_site()
    one = site.commit("one")
    async with site.running():
        two = site.commit("two")
        await site.until_live(two)
        assert (await site.cli("rollback")).code == 0
        await site.until_live(one)
        done = await site.cli("swap", *words)
        assert done.code == 1
        assert f"HEAD is {two[:7]}, which was rolled back" in done.err
        assert f"blue-green swap {two[:7]}" in done.err
        assert (await site.status())["live"]["revision"] == one
        assert (await site.cli("restart")).code == 0
        assert (await site.cli("swap", *words)).code == 1, "a restart is no deploy"
        assert (await site.cli("swap", *words, two[:7])).code == 0
        await site.until_live(two)
        assert (await site.cli("swap", "--retry")).code == 0


async def test_after_a_rollback_and_a_restart_status_still_says_who_asked_for_what_is_live(
    make_site: MakeSite,
) -> None:
    site = make_site()
    one = site.commit("one")
    async with site.running():
        await site.until_live(site.commit("two"))
        for command in ("rollback", "restart"):
            assert (await site.cli(command)).code == 0
        status = await site.until_live(one)
        assert status["why"].startswith("it was rolled back. `blue-green swap ")
        await until("it is remembered", lambda: len(outcomes(site)) == 4)
