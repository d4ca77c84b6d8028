"""Pruning continues past a release that cannot be removed, which `status` names."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from blue_green.cli import display
from blue_green.cli.terminal import Style
from blue_green.config.kinds import Argv, Count
from blue_green.config.site_settings import ReleaseSettings
from blue_green.source.releases import Releases
from blue_green.system import trees, users
from tests.support.answers import status as answer
from tests.support.release_commands import release_commands
from tests.support.repository import Repository, git_of
from tests.support.site import RealSite
from tests.waiting import until

MakeSite = Callable[..., RealSite]

OTHER_USER = 61_234
"""A user of no name."""
CROSSED = f"mkdir -p shared/theirs && chmod 777 shared && chown {OTHER_USER} shared/theirs"
"""What not even root removes, since it may have been moved there; see `trees`."""

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def crossed(then: str) -> list[str]:
    """A build that leaves such a directory."""
    return ["sh", "-c", f"{CROSSED} && {then}"]


def releases_of(repository: Repository, **given: Any) -> Releases:
    config = attrs.evolve(ReleaseSettings(), **given)
    git, us = git_of(repository.path), users.owner_of(repository.path)
    state = repository.path.parent / "state"
    releases = Releases(config, git, state, release_commands(us))
    releases.create_directories()
    return releases


@as_root
async def test_the_other_releases_are_pruned_and_those_that_could_not_be_removed_named(
    tmp_path: Path,
) -> None:
    repository = Repository(tmp_path / "checkout")
    build = Argv(tuple(crossed("true")))
    bad = releases_of(repository, build=build)
    await bad.build(await bad.add(repository.first))
    releases = releases_of(repository, keep=Count(1))
    revisions = [repository.commit(text=str(number)) for number in range(3)]
    for revision in revisions:
        await releases.build(await releases.add(revision))
    await releases.pruning.prune({revisions[-1]})
    there = sorted(path.name for path in (tmp_path / "state/releases").iterdir())
    assert there[0].startswith(trees.LEFTOVER)
    assert set(there[1:]) == {revision[:12] for revision in revisions[1:]}
    [why] = releases.pruning.unremovable
    assert f"releases/{repository.first[:12]}/shared/theirs: it belongs to user {OTHER_USER}" in why

    await releases.pruning.prune({revisions[-1]})
    [why] = releases.pruning.unremovable
    assert "root refused to delete it before" in why, "it is named for as long as it is there"


@as_root
async def test_a_build_that_left_an_unremovable_release_can_be_retried(
    make_site: MakeSite,
) -> None:
    site = make_site(release={"keep": 1})
    passes = site.directory / "passes"
    build = crossed(f"{{ [ -e {passes} ] || grep -q good text.txt; }}")
    site.configure(release={"build": build})
    site.commit("good")
    async with site.running():
        assert (await site.status())["unremovable"] == []
        bad = site.commit("bad")

        async def is_told() -> list[str]:
            unremovable: list[str] = (await site.status())["unremovable"]
            return unremovable

        [why] = await until("pruning has failed", is_told)
        assert f"/{bad[:12]}/shared/theirs: it belongs to user {OTHER_USER}" in why
        assert bad in (await site.status())["quarantined"]
        assert "1 old release cannot be removed: " in (await site.cli("status")).out
        passes.touch()
        done = await site.cli("swap", "--retry", bad)
        assert done.code == 0, done


def test_status_says_how_many_could_not_be_removed_and_why() -> None:
    shown = display.status(answer(unremovable=["/x/y: Permission denied", "z"]), Style())
    assert "    releases  2 old releases cannot be removed: /x/y: Permission denied" in shown
