"""A release has its files, and not the pointers that git-lfs leaves for them."""

from pathlib import Path

import attrs
import pytest

from blue_green.config.site_settings import ReleaseSettings
from blue_green.source.failure import StepFailed
from blue_green.source.releases import Releases
from tests.support.release_commands import release_commands
from tests.support.repository import Repository, git_of

POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n"
NAMES = ["b.bin", 'ä "quoted".bin', "sub/a.bin"]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """One with three files that are in LFS, and that was cloned without git-lfs."""
    repository = Repository(tmp_path / "checkout")
    (repository.path / "sub").mkdir()
    for name in NAMES:
        (repository.path / name).write_text(POINTER)
    (repository.path / "about-lfs.txt").write_text(POINTER)
    (repository.path / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    repository.commit()
    return repository


async def make(repository: Repository, *, in_place: bool = False) -> Path:
    config = attrs.evolve(ReleaseSettings(), in_place=in_place)
    git = git_of(repository.path)
    commands = release_commands(git.owner)
    releases = Releases(config, git, repository.path.parent / "state", commands)
    releases.create_directories()
    return (await releases.add(repository.git("rev-parse", "HEAD"))).path


@pytest.mark.parametrize("in_place", [False, True])
async def test_lfs_pointers_in_place_of_files_are_reported_with_a_remedy(
    repository: Repository, in_place: bool
) -> None:
    with pytest.raises(StepFailed, match=r"\.bin and 2 more files are LFS pointers") as caught:
        await make(repository, in_place=in_place)
    assert "about-lfs.txt" not in str(caught.value)
    assert "`git lfs install` as " in str(caught.value)


async def test_a_single_lfs_pointer_is_named_whatever_its_name(repository: Repository) -> None:
    repository.git("rm", "-q", "b.bin", "sub/a.bin")
    repository.commit()
    with pytest.raises(StepFailed, match=r'/ä "quoted"\.bin is an LFS pointer'):
        await make(repository)


async def test_files_fetched_by_the_owners_filter_are_accepted(repository: Repository) -> None:
    """As `git lfs install` sets it up."""
    repository.git("config", "filter.lfs.smudge", "cat >/dev/null; echo content of")
    repository.git("config", "filter.lfs.required", "true")
    release = await make(repository)
    assert (release / "b.bin").read_text() == "content of\n"


async def test_a_filter_that_fails_fails_the_release(repository: Repository) -> None:
    repository.git("config", "filter.lfs.smudge", "echo no route to host >&2; false")
    repository.git("config", "filter.lfs.required", "true")
    with pytest.raises(StepFailed, match="no route to host"):
        await make(repository)


async def test_a_small_file_that_is_no_pointer_is_accepted(repository: Repository) -> None:
    for name in NAMES:
        (repository.path / name).write_text("was never moved to LFS")
    repository.commit()
    assert (await make(repository) / "b.bin").exists()


async def test_a_file_that_lfs_is_configured_to_exclude_may_stay_a_pointer(
    repository: Repository,
) -> None:
    repository.git("config", "lfs.fetchexclude", "*.bin")
    assert (await make(repository) / "b.bin").read_text() == POINTER
