"""After a kill, or without its state file, the supervisor restores the site."""

import subprocess
from collections.abc import Callable
from typing import Any

import h11
import pytest
import trio

from tests.support.app_checkout import git
from tests.support.killed import killed_at_the_end
from tests.support.site import RealSite
from tests.waiting import until

MakeSite = Callable[..., RealSite]

BUILD = "echo $BLUE_GREEN_REVISION >>$BUILDS; [ ! -e slow-build ] || sleep 600"


@pytest.fixture
def make_built(make_site: MakeSite) -> MakeSite:
    """A site that records what it builds; a release with the file `slow-build` takes for ever."""

    def make(**sections: dict[str, Any]) -> RealSite:
        site = make_site(release={"build": ["sh", "-c", BUILD]})
        site.configure(app={"env": {"BUILDS": str(site.directory / "builds")}}, **sections)
        return site

    return make


def builds(site: RealSite) -> list[str]:
    return (site.directory / "builds").read_text().split()


async def comes_back(site: RealSite, revision: str, *, built: list[str]) -> None:
    """In a running site: this revision was the first to serve, nothing else was built for it,
    and what the killed supervisor had left is gone."""
    assert (await site.get("/")).json()["revision"] == revision
    await site.until_logged(f"starting {revision[:7]}, which was live before")
    assert builds(site) == built


async def left_nothing(site: RealSite, status: dict[str, Any], *releases: str) -> None:
    """Only these releases, and of processes only the backends, once git has tidied up."""
    names = sorted(revision[:12] for revision in releases)
    there = (status["live"]["pids"], names, names)
    await until(
        f"only {there} are left",
        lambda: (site.processes(), site.releases(), site.worktrees()) == there,
    )


def family_of(site: RealSite) -> list[int]:
    """A backend and its two children, when nothing else runs."""
    found = site.processes()
    return found if len(found) == 3 else []


async def test_a_site_comes_back_after_a_kill_while_it_serves(make_built: MakeSite) -> None:
    site = make_built()
    good = site.commit("good", grandchildren=True)
    site.configure(app={"stop_timeout": "500ms"})
    async with killed_at_the_end(site):
        left = set(await until("the backend and its two children", lambda: family_of(site)))
    assert left <= set(site.processes()), "this test is about what is left behind"
    async with site.running():
        await comes_back(site, good, built=[good])
        assert not left & set(site.processes())
        status = await site.status()
        await until("the backend and its two children", lambda: family_of(site))
        assert site.releases() == site.worktrees() == [good[:12]]
        assert (status["wanted"], status["last_swap"]["revision"]) == (good, good)
        assert len(site.remembered()["history"]) == 1, "HEAD is where it was: no swap was due"


@pytest.mark.parametrize("stage", ["build", "probe"])
async def test_a_site_comes_back_after_a_kill_while_a_candidate_starts(
    make_built: MakeSite, stage: str
) -> None:
    site = make_built()
    good = site.commit("good")
    async with killed_at_the_end(site):
        files = {"slow-build": ""} if stage == "build" else {}
        site.commit("next", files, start_delay=600)

        async def reached() -> bool:
            return bool((await site.status())["step"] == stage and len(builds(site)) == 2)

        await until(f"it has come to {stage}", reached)
    git(site.checkout, "reset", "-q", "--hard", good)
    async with site.running():
        await comes_back(site, good, built=[good, builds(site)[1]])
        kept = (good,) if stage == "build" else (good, builds(site)[1])
        await left_nothing(site, await site.status(), *kept)


async def test_a_site_comes_back_after_a_kill_while_the_old_release_drains(
    make_built: MakeSite,
) -> None:
    """The new one has not proved itself yet, so the old one comes first; then it has its turn."""
    site = make_built(swap={"soak": "30s"})
    old = site.commit("old")
    async with trio.open_nursery() as nursery:

        async def ask() -> None:
            with pytest.raises(h11.RemoteProtocolError):
                await site.get("/?slow=600")

        async with killed_at_the_end(site):
            nursery.start_soon(ask)
            await until("it is in flight", site.journal)
            new = site.commit("new")

            async def drains() -> bool:
                return bool((await site.status())["step"] == "drain")

            await until("the old one drains", drains)
    site.configure(swap={"soak": 0})
    async with site.running():
        await site.until_logged(f"starting {old[:7]}, which was live before")
        await left_nothing(site, await site.until_live(new), old, new)
        done = await site.cli("rollback")
        assert done.code == 0, done
        assert (await site.get("/")).json()["revision"] == old
        assert builds(site) == [old, new]


async def test_a_site_comes_back_after_a_kill_while_git_checks_out(make_built: MakeSite) -> None:
    """git locks a work tree that it makes: what is left must not be in the way later."""
    site = make_built()
    good = site.commit("good")
    slow = site.directory / "slow"
    slow.touch()
    git(site.checkout, "config", "filter.slow.smudge", f"[ ! -e {slow} ] || sleep 600; cat")
    async with killed_at_the_end(site):
        site.draft("next", {".gitattributes": "text.txt filter=slow"})
        git(site.checkout, "commit", "-q", "-m", "next")
        await until("git is at it", lambda: len(site.worktrees()) == 2)
    async with site.running(wait_for="swapping"):
        await comes_back(site, good, built=[good])
        slow.unlink()
        next_one = git(site.checkout, "rev-parse", "HEAD")
        done = await site.cli("swap", next_one, "--retry")
        assert done.code == 0, f"{done}\n{site.log()}"
        await left_nothing(site, await site.until_live(next_one), good, next_one)


async def test_a_work_tree_in_which_git_was_killed_is_recreated(make_site: MakeSite) -> None:
    """What git leaves when it is killed between locking a work tree and making its directory."""
    site = make_site()
    site.commit("good")
    async with site.running():
        new = site.draft("new")
        path = site.state / "releases" / new[:12]
        git(site.checkout, "worktree", "add", "-q", "--lock", "--detach", str(path), new)
        (path / ".git").unlink()
        for file in path.iterdir():
            file.unlink()
        path.rmdir()
        done = await site.cli("swap", new)
        assert done.code == 0, done


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda text: text[: len(text) // 2], id="truncated"),
        pytest.param(lambda _: "\0\x01 not TOML [", id="garbage"),
        pytest.param(lambda text: text.replace("version = 1", "version = 99"), id="newer"),
    ],
)
async def test_an_invalid_state_file_is_put_aside(
    make_built: MakeSite, damage: Callable[[str], str]
) -> None:
    site = make_built()
    good = site.commit("good")
    async with killed_at_the_end(site):
        pass
    file = site.state / "state.toml"
    damaged = damage(file.read_text())
    file.write_text(damaged)
    async with site.running():
        assert (await site.get("/")).json()["revision"] == good
        assert builds(site) == [good]
        await site.until_logged(f"warning: moving {file} aside to state.toml.bad")
        assert (site.state / "state.toml.bad").read_text() == damaged
        await left_nothing(site, await site.status(), good)


async def test_a_damaged_part_of_the_state_file_costs_only_that_part(make_built: MakeSite) -> None:
    site = make_built()
    good = site.commit("good")
    async with killed_at_the_end(site):
        pass
    file = site.state / "state.toml"
    damaged = file.read_text().replace("[live]", "[gone]")
    file.write_text(damaged)
    async with site.running():
        assert (await site.get("/")).json()["revision"] == good
        assert builds(site) == [good]
        await site.until_logged(
            f"warning: {file} is damaged, and read without these parts: gone is"
        )
        assert (site.state / "state.toml.bad").read_text() == damaged
        await left_nothing(site, await site.status(), good)


async def test_a_broken_head_does_not_empty_a_site_that_lost_its_state(
    make_built: MakeSite,
) -> None:
    site = make_built()
    good = site.commit("good")
    async with killed_at_the_end(site):
        bad = site.commit("bad", raises="no")

        async def failed() -> bool:
            return bad in (await site.status())["quarantined"]

        await until("it has failed", failed)
    (site.state / "state.toml").write_text("lost")
    site.start()
    try:
        await site.until_phase("serving")
        assert (await site.get("/")).json()["revision"] == good
    finally:
        await site.stop()


async def test_a_rollback_survives_a_restart(make_built: MakeSite) -> None:
    site = make_built()
    one = site.commit("one")
    async with site.running():
        two = site.commit("two")
        await site.until_live(two)
        assert (await site.cli("rollback")).code == 0
        await site.until_live(one)
    async with site.running():
        await comes_back(site, one, built=[one, two])
        await trio.sleep(0.6)  # Several looks at HEAD, which is at `two`.
        status = await site.status()
        assert (status["live"]["revision"], status["wanted"]) == (one, one)
        assert builds(site) == [one, two]


async def test_another_process_with_a_remembered_pid_is_left_alone(make_built: MakeSite) -> None:
    site = make_built()
    site.commit("good")
    async with killed_at_the_end(site):
        pass
    other = subprocess.Popen(["sleep", "600"])
    try:
        (pid,) = site.processes()
        file = site.state / "state.toml"
        file.write_text(file.read_text().replace(f"pid = {pid}", f"pid = {other.pid}"))
        async with site.running():
            assert other.poll() is None
            assert pid not in site.processes()
    finally:
        other.kill()
        other.wait()
