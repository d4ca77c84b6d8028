"""`migrate` runs once per new revision, forward only, and no commit interrupts it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.app_checkout import git
from tests.support.site import RealSite
from tests.waiting import until

MakeSite = Callable[..., RealSite]

MIGRATE = (
    "echo $BLUE_GREEN_REVISION >>$SHARED/migrated; "
    "while [ -e $SHARED/wait ]; do sleep 0.02; done; [ ! -e $SHARED/fail ]"
)


class Migrating:
    """A site that records its migrations, which wait while there is `wait`; `fail` fails them."""

    def __init__(self, site: RealSite) -> None:
        self.site = site
        self.wait = site.directory / "wait"
        self.fail = site.directory / "fail"
        site.configure(
            release={"migrate": ["sh", "-c", MIGRATE]},
            app={"env": {"SHARED": str(site.directory)}},
        )

    def times(self, revision: str) -> int:
        file: Path = self.site.directory / "migrated"
        return file.read_text().split().count(revision) if file.exists() else 0


@pytest.fixture
def make_migrating(make_site: MakeSite) -> Callable[..., Migrating]:
    def make(**sections: dict[str, Any]) -> Migrating:
        return Migrating(make_site(**sections))

    return make


MakeMigrating = Callable[..., Migrating]


@pytest.mark.parametrize("strategy", ["overlap", pytest.param("exclusive", marks=pytest.mark.long)])
async def test_migrate_runs_once_per_revision_and_not_for_a_rollback_or_a_restart(
    make_migrating: MakeMigrating, strategy: str
) -> None:
    migrating = make_migrating(swap={"strategy": strategy})
    site = migrating.site
    one = site.commit("one")
    async with site.running():
        two = site.commit("two")
        assert "migrate" in (await site.until_live(two))["last_swap"]["seconds"]
        for revision in (one, two):
            assert (await site.cli("rollback")).code == 0
            assert "migrate" not in (await site.until_live(revision))["last_swap"]["seconds"]
        assert (await site.cli("swap", "--retry")).code == 0
        assert (await site.cli("rollback")).code == 0
    async with site.running():
        await site.until_live(one)
        assert (await site.cli("rollback")).code == 0
        await site.until_live(two)
    assert (migrating.times(one), migrating.times(two)) == (1, 1)


async def test_migrate_runs_while_the_old_release_serves_and_before_the_candidate_starts(
    make_migrating: MakeMigrating,
) -> None:
    migrating = make_migrating()
    site = migrating.site
    old = site.commit("old")
    async with site.running(), site.steady_load():
        migrating.wait.touch()
        new = site.commit("new")
        await until("it migrates", lambda: migrating.times(new))
        status = await site.status()
        assert (status["step"], status["live"]["revision"], status["held"]) == ("migrate", old, 0)
        assert {entry["revision"] for entry in site.journal("start")} == {old}
        migrating.wait.unlink()
        await site.until_live(new)


async def test_a_failed_migration_runs_again_when_its_revision_is_retried(
    make_migrating: MakeMigrating,
) -> None:
    migrating = make_migrating()
    site = migrating.site
    one = site.commit("one")
    async with site.running():
        migrating.fail.touch()
        two = site.draft("two")
        done = await site.cli("swap", two)
        assert (done.code, "migrate ended with exit status 1" in done.out) == (1, True)
        assert (await site.status())["live"]["revision"] == one
        migrating.fail.unlink()
        assert (await site.cli("swap", two, "--retry")).code == 0
        assert migrating.times(two) == 2
        assert (await site.cli("swap", one)).code == 0
        assert (await site.cli("swap", two)).code == 0
    assert (migrating.times(one), migrating.times(two)) == (1, 2)


async def test_a_release_that_failed_after_its_migration_does_not_migrate_again(
    make_migrating: MakeMigrating,
) -> None:
    migrating = make_migrating()
    site = migrating.site
    site.commit("one")
    marker = site.directory / "away"
    marker.touch()
    async with site.running():
        two = site.draft("two", raises_while_there_is=str(marker))
        assert (await site.cli("swap", two)).code == 1
        marker.unlink()
        assert (await site.cli("swap", two, "--retry")).code == 0
    assert migrating.times(two) == 1


async def test_an_ancestor_of_a_migrated_revision_does_not_migrate(
    make_migrating: MakeMigrating,
) -> None:
    """Its migrations are in the data already, though not by our hand; to go back is no step."""
    migrating = make_migrating()
    site = migrating.site
    oldest, older = site.commit("oldest"), site.commit("older")
    site.commit("now")
    async with site.running():
        for revision in (older, oldest):
            assert (await site.cli("swap", revision)).code == 0
        side = git(site.checkout, "commit-tree", "-p", older, "-m", "side", f"{older}^{{tree}}")
        assert (await site.cli("swap", side)).code == 0
    assert [migrating.times(revision) for revision in (oldest, older, side)] == [0, 0, 1]


async def test_a_newer_commit_waits_for_the_end_of_a_migration_and_then_takes_over(
    make_migrating: MakeMigrating,
) -> None:
    migrating = make_migrating()
    site = migrating.site
    site.commit("one")
    async with site.running(), site.steady_load():
        migrating.wait.touch()
        two = site.commit("two")
        await until("it migrates", lambda: migrating.times(two))
        three = site.commit("three")

        async def is_wanted() -> bool:
            return bool((await site.status())["wanted"] == three)

        await until("the third is wanted", is_wanted)
        assert (await site.status())["step"] == "migrate"
        assert migrating.times(three) == 0
        migrating.wait.unlink()
        await site.until_live(three)
        ends = {last["revision"]: last["outcome"] for last in (await site.status())["last_swaps"]}
        assert (ends[two], ends[three]) == ("superseded", "promoted")
        assert two in site.remembered()["migrated"]
        assert two not in {entry["revision"] for entry in site.journal("start")}
    assert (migrating.times(two), migrating.times(three)) == (1, 1)
