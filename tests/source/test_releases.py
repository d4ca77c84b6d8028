"""Releases are made from revisions in real work trees, and old ones are pruned."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from blue_green.config.kinds import Argv
from blue_green.config.site_settings import ReleaseSettings
from blue_green.source.failure import StepFailed, SwapCancelled
from blue_green.source.links import keeps_place
from blue_green.source.releases import Releases
from blue_green.system import users
from tests.support.release_commands import release_commands
from tests.support.repository import Repository, git_of

MakeReleases = Callable[..., Releases]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "checkout")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "state" / "releases"


@pytest.fixture
def make(repository: Repository, directory: Path) -> MakeReleases:
    """Makes the releases of the checkout; settings can be given."""

    def make(**given: Any) -> Releases:
        config = attrs.evolve(ReleaseSettings(), **given)
        us = users.owner_of(repository.path)
        git = git_of(repository.path)
        commands = release_commands(us, NAME="blog")
        releases = Releases(config, git, directory.parent, commands)
        releases.create_directories()
        return releases

    return make


def python(program: str) -> Argv:
    return Argv((sys.executable, "-c", program))


async def complete(releases: Releases, revision: str) -> Path:
    release = await releases.add(revision)
    await releases.build(release)
    return release.path


# --- made -----------------------------------------------------------------------------------


async def test_a_release_has_the_files_of_its_revision(
    repository: Repository, make: MakeReleases
) -> None:
    repository.commit(text="second")
    releases = make()
    release = await releases.add(repository.first)
    assert (release.path / "text.txt").read_text() == "first"
    assert (repository.path / "text.txt").read_text() == "second"
    assert await releases.find(repository.first) is None, "it is not built yet"

    await releases.build(release)
    assert await releases.find(repository.first) == release


async def test_a_build_runs_in_the_release_with_its_environment_variables(
    repository: Repository, make: MakeReleases
) -> None:
    program = (
        "import os, pathlib; told = os.environ['BLUE_GREEN_REVISION'], os.environ['NAME']; "
        "pathlib.Path('built').write_text(' '.join(told))"
    )
    path = await complete(make(build=python(program)), repository.first)
    assert (path / "built").read_text() == f"{repository.first} blog"


async def test_a_failed_build_is_reported_with_its_status_and_output(
    repository: Repository, make: MakeReleases
) -> None:
    program = "import sys; [print(n) for n in range(99)]; print('no compiler'); sys.exit(4)"
    releases = make(build=python(program))
    with pytest.raises(StepFailed, match="build ended with exit status 4") as caught:
        await complete(releases, repository.first)
    assert caught.value.output == (*map(str, range(50, 99)), "no compiler")
    assert await releases.find(repository.first) is None


async def test_a_build_that_takes_too_long_is_ended(
    repository: Repository, make: MakeReleases
) -> None:
    releases = make(build=python("import time; time.sleep(600)"), build_timeout=0.2)
    with pytest.raises(StepFailed, match=r"build took more than 0.2 s and was killed"):
        await complete(releases, repository.first)


async def test_a_missing_build_command_is_named(repository: Repository, make: MakeReleases) -> None:
    with pytest.raises(StepFailed, match="build: cannot start no-such-command"):
        await complete(make(build=("no-such-command",)), repository.first)


async def test_a_failed_migration_is_reported_with_its_status(
    repository: Repository, make: MakeReleases
) -> None:
    releases = make(migrate=python("import os; os.kill(os.getpid(), 9)"))
    release = await releases.add(repository.first)
    with pytest.raises(StepFailed, match="migrate was killed by SIGKILL"):
        await releases.migrate(release)


async def test_a_half_made_release_is_recreated(repository: Repository, make: MakeReleases) -> None:
    failing = make(build=python("open('half', 'w'); raise SystemExit(1)"))
    with pytest.raises(StepFailed):
        await complete(failing, repository.first)
    path = await complete(make(), repository.first)
    assert sorted(file.name for file in path.iterdir()) == [".git", "text.txt"]


def a_directory(path: Path, _: Repository) -> None:
    path.mkdir()
    (path / "rubbish").write_text("")


def only_known_to_git(path: Path, repository: Repository) -> None:
    repository.git("worktree", "add", "-q", "--detach", str(path))
    path.rename(path.with_name("moved"))


def a_work_tree_with_a_lock(path: Path, repository: Repository) -> None:
    repository.git("worktree", "add", "-q", "--detach", str(path))
    repository.git("worktree", "lock", str(path))
    (path / "rubbish").write_text("")


def of_another_repository(path: Path, _: Repository) -> None:
    Repository(path.parent / "other").git("worktree", "add", "-q", "--detach", str(path))


REMAINS = [a_directory, only_known_to_git, a_work_tree_with_a_lock, of_another_repository]


@pytest.mark.parametrize("leave", REMAINS)
async def test_anything_in_place_of_a_release_is_removed(
    repository: Repository,
    make: MakeReleases,
    directory: Path,
    leave: Callable[[Path, Repository], None],
) -> None:
    releases = make()
    leave(directory / repository.first[:12], repository)
    path = await complete(releases, repository.first)
    assert sorted(file.name for file in path.iterdir()) == [".git", "text.txt"]


async def test_a_deleted_state_directory_is_created_again(
    repository: Repository, make: MakeReleases, directory: Path
) -> None:
    releases = make()
    shutil.rmtree(directory.parent)
    assert (await complete(releases, repository.first)).is_dir()
    assert await releases.find(repository.first) is not None


async def test_a_missing_revision_is_a_failed_step(make: MakeReleases) -> None:
    with pytest.raises(StepFailed, match="cannot check out fffffff"):
        await make().add("f" * 40)


@pytest.mark.parametrize("name", ["..", "", "../other", "--detach"])
async def test_a_name_that_is_no_revision_never_deletes_anything(
    repository: Repository, make: MakeReleases, directory: Path, name: str
) -> None:
    """A name from a damaged state file, for example."""
    releases = make()
    path = await complete(releases, repository.first)
    (directory.parent / "other").mkdir()
    with pytest.raises(StepFailed):
        await releases.add(name)
    assert path.exists()
    assert (directory.parent / "other").exists()


# --- links ----------------------------------------------------------------------------------


async def test_links_show_the_checkouts_own_files(
    repository: Repository, make: MakeReleases
) -> None:
    (repository.path / "var").mkdir()
    (repository.path / "var" / "data.db").write_text("data")
    path = await complete(make(link=("var/data.db",)), repository.first)
    assert (path / "var" / "data.db").readlink() == repository.path / "var" / "data.db"
    (path / "var" / "data.db").write_text("written by the app")
    assert (repository.path / "var" / "data.db").read_text() == "written by the app"


async def test_linked_files_outlive_the_release(repository: Repository, make: MakeReleases) -> None:
    (repository.path / "uploads").mkdir()
    (repository.path / "uploads" / "cat.jpg").write_text("")
    releases = make(link=("uploads",))
    release = await releases.add(repository.first)
    await releases.pruning.prune(())
    assert not release.path.exists()
    assert (repository.path / "uploads" / "cat.jpg").exists()


async def test_a_missing_linked_path_is_created_in_the_checkout(
    repository: Repository, make: MakeReleases
) -> None:
    release = await make(link=("var/log/", "data/app.db")).add(repository.first)
    assert (repository.path / "var" / "log").is_dir()
    (release.path / "data" / "app.db").write_text("made through the link")
    assert (repository.path / "data" / "app.db").read_text() == "made through the link"


async def test_a_link_over_a_tracked_file_fails(repository: Repository, make: MakeReleases) -> None:
    with pytest.raises(StepFailed, match=r"link: git tracks text.txt"):
        await make(link=("text.txt",)).add(repository.first)


async def test_a_directory_that_git_only_keeps_a_place_for_is_linked(
    repository: Repository, make: MakeReleases
) -> None:
    (repository.path / "storage" / "deep").mkdir(parents=True)
    for name in ("storage/.keep", "storage/deep/.gitignore"):
        (repository.path / name).touch()
    revision = repository.commit()
    (repository.path / "storage" / "photo").write_text("ours")
    release = await make(link=("storage/",)).add(revision)
    assert (release.path / "storage").is_symlink()
    assert (release.path / "storage" / "photo").read_text() == "ours"
    (repository.path / "storage" / "photo").rename(repository.path / "storage" / "index")
    with pytest.raises(StepFailed, match="git tracks storage/"):
        await make(link=("storage/",)).add(repository.commit())


@pytest.mark.parametrize(
    ("tracked", "is_kept"),
    [
        ({"log", "log/.keep"}, True),
        ({"log", "log/a", "log/a/.gitignore"}, True),
        ({"log", "log/.keep", "log/a.txt"}, False),
        ({"log", "log/submodule"}, False),
        ({"log.txt"}, False),
        ({"log"}, False),
    ],
)
def test_git_keeps_a_place_by_files_of_that_name(tracked: set[str], is_kept: bool) -> None:
    assert keeps_place("log/", tracked) is is_kept


async def test_a_link_below_a_tracked_file_fails(
    repository: Repository, make: MakeReleases
) -> None:
    """What is a directory now was a file in an older revision."""
    repository.git("rm", "-q", "text.txt")
    repository.commit()
    (repository.path / "text.txt").mkdir()
    (repository.path / "text.txt" / "data").write_text("")
    with pytest.raises(StepFailed, match=r"text\.txt"):
        await make(link=("text.txt/data",)).add(repository.first)


# --- pruned ---------------------------------------------------------------------------------


async def test_only_the_newest_releases_and_those_in_use_are_kept(
    repository: Repository, make: MakeReleases, directory: Path
) -> None:
    releases = make(keep=2)
    revisions = [repository.commit(text=str(number)) for number in range(5)]
    for number, revision in enumerate(revisions):
        path = await complete(releases, revision)
        os.utime(directory.parent / "built" / path.name, (number, number))
    await releases.pruning.prune({revisions[0]})
    kept = [revisions[0], *revisions[-2:]]
    assert sorted(path.name for path in directory.iterdir() if path.is_dir()) == sorted(
        revision[:12] for revision in kept
    )
    for revision in revisions:
        assert (await releases.find(revision) is not None) == (revision in kept)
    assert len(repository.git("worktree", "list").splitlines()) == 1 + len(kept)


async def test_half_made_releases_are_pruned_unless_in_use(
    repository: Repository, make: MakeReleases
) -> None:
    releases = make(keep=5)
    second = repository.commit(text="second")
    half, used = await releases.add(repository.first), await releases.add(second)
    await releases.pruning.prune({second})
    assert not half.path.exists()
    assert used.path.exists()


# --- in place -------------------------------------------------------------------------------


async def test_in_place_the_checkout_is_the_release(
    repository: Repository, make: MakeReleases, directory: Path
) -> None:
    path = await complete(make(in_place=True), repository.first)
    assert path == repository.path
    assert list(directory.iterdir()) == []
    assert repository.git("status", "--porcelain") == ""
    assert not list(repository.path.parent.glob("*.built"))


async def test_in_place_only_the_checked_out_revision_can_run(
    repository: Repository, make: MakeReleases
) -> None:
    second = repository.commit(text="second")
    with pytest.raises(SwapCancelled, match=f"that is {second[:7]}: git checkout"):
        await make(in_place=True).add(repository.first)


async def test_in_place_the_checkout_is_never_pruned(
    repository: Repository, make: MakeReleases
) -> None:
    await make(in_place=True, keep=1).pruning.prune(())
    assert (repository.path / "text.txt").exists()
