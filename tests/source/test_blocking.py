"""A file system that hangs keeps threads of its site, and not the event loop."""

from pathlib import Path

import attrs
import pytest

from blue_green.config.kinds import Argv, Count, Link
from blue_green.config.site_settings import ReleaseSettings
from blue_green.source import submodules
from blue_green.source.releases import Releases
from blue_green.system import users
from tests.support import blocking_calls
from tests.support.release_commands import release_commands
from tests.support.repository import Repository, git_of


@pytest.fixture
def upstream(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "upstream")


@pytest.fixture
def checkout(upstream: Repository, tmp_path: Path) -> Repository:
    return upstream.clone(tmp_path / "checkout")


@pytest.fixture
def releases(checkout: Repository, tmp_path: Path) -> Releases:
    config = attrs.evolve(
        ReleaseSettings(),
        keep=Count(0),
        link=(Link("data/"), Link("data.db")),
        build=Argv(("true",)),
    )
    git = git_of(checkout.path)
    commands = release_commands(users.owner_of(checkout.path))
    releases = Releases(config, git, tmp_path / "state", commands)
    releases.create_directories()
    return releases


async def test_making_finding_and_deleting_releases_blocks_no_event_loop(
    releases: Releases, checkout: Repository, tmp_path: Path
) -> None:
    first, second = checkout.first, checkout.commit(text="second")
    with blocking_calls.noted(tmp_path) as calls:
        for revision in (first, second):
            await releases.build(await releases.add(revision))
        await releases.build(await releases.add(second, beside=True))
        release = await releases.find(first)
        assert release is not None
        assert not await releases.lacks_links(release)
        await releases.note_promoted(release)
        assert await releases.last_promoted() == first
        assert await releases.has_good(None)
        assert await releases.last_good(second) is not None
        await releases.stray_data_in(release.path)
        await releases.discard(release)
        await releases.pruning.prune({second})
        await releases.pruning.clear()
    assert calls == []


async def test_following_an_upstream_blocks_no_event_loop(
    upstream: Repository, checkout: Repository, tmp_path: Path
) -> None:
    git = git_of(checkout.path)
    with blocking_calls.noted(tmp_path) as calls:
        second = upstream.commit(text="second")
        assert await git.pull(None) == second
        upstream.git("commit", "-q", "--amend", "-m", "rewritten")
        assert await git.pull(None, resets=True) == upstream.git("rev-parse", "HEAD")
    assert calls == []


async def test_submodules_block_no_event_loop(
    upstream: Repository, checkout: Repository, releases: Releases, tmp_path: Path
) -> None:
    library = Repository(tmp_path / "library")
    allowed = ("-c", "protocol.file.allow=always")
    checkout.git(*allowed, "submodule", "--quiet", "add", str(library.path), "lib")
    revision = checkout.commit(text="with a submodule")
    with blocking_calls.noted(tmp_path) as calls:
        release = await releases.add(revision)
        await submodules.update_in_place(releases.git)
    assert (release.path / "lib" / "text.txt").read_text() == "first"
    assert calls == []
