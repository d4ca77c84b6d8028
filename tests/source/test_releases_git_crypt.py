"""Releases of a repository that git-crypt keeps partly encrypted."""

import shutil
from pathlib import Path

import pytest

from blue_green.config.site_settings import ReleaseSettings
from blue_green.source.releases import Releases
from tests.support.release_commands import release_commands
from tests.support.repository import Repository, git_of
from tests.support.submodules import FROM_FILES, at

pytestmark = pytest.mark.skipif(not shutil.which("git-crypt"), reason="git-crypt is not installed")

SECRET = "the password is swordfish\n"


@pytest.fixture
def upstream(tmp_path: Path) -> Repository:
    """One with a file that is encrypted for whoever has not the key."""
    upstream = Repository(tmp_path / "upstream")
    crypt(upstream, "init")
    crypt(upstream, "export-key", str(tmp_path / "key"))
    (upstream.path / ".gitattributes").write_text("*.secret filter=git-crypt diff=git-crypt\n")
    (upstream.path / "a.secret").write_text(SECRET)
    upstream.commit()
    return upstream


def crypt(repository: Repository, *words: str) -> None:
    repository.git("-c", f"alias.crypt=!{shutil.which('git-crypt')}", "crypt", *words)


def unlocked(repository: Repository, key: Path) -> Repository:
    assert (repository.path / "a.secret").read_bytes().startswith(b"\0GITCRYPT\0")
    crypt(repository, "unlock", str(key))
    assert (repository.path / "a.secret").read_text() == SECRET
    return repository


def releases_of(checkout: Repository) -> Releases:
    top = checkout.path.parent
    (top / "gitconfig").write_text('[protocol "file"]\nallow = always\n')
    git = git_of(checkout.path, GIT_CONFIG_GLOBAL=str(top / "gitconfig"))
    commands = release_commands(git.owner)
    releases = Releases(ReleaseSettings(), git, top / "state", commands)
    releases.create_directories()
    return releases


async def test_a_release_of_an_unlocked_checkout_is_readable(
    upstream: Repository, tmp_path: Path
) -> None:
    checkout = unlocked(upstream.clone(tmp_path / "checkout"), tmp_path / "key")
    release = await releases_of(checkout).add(checkout.git("rev-parse", "HEAD"))
    assert (release.path / "a.secret").read_text() == SECRET
    assert at(release.path).git("status", "--porcelain") == ""


async def test_the_keys_of_the_checkout_outlive_its_releases(
    upstream: Repository, tmp_path: Path
) -> None:
    checkout = unlocked(upstream.clone(tmp_path / "checkout"), tmp_path / "key")
    keys = list((checkout.path / ".git/git-crypt").rglob("*"))
    releases = releases_of(checkout)
    await releases.add(checkout.git("rev-parse", "HEAD"))
    await releases.pruning.prune(())
    assert list((tmp_path / "state/releases").iterdir()) == []
    assert list((checkout.path / ".git/git-crypt").rglob("*")) == keys != []


async def test_a_release_of_a_locked_checkout_has_the_encrypted_files(
    upstream: Repository, tmp_path: Path
) -> None:
    checkout = upstream.clone(tmp_path / "checkout")
    release = await releases_of(checkout).add(checkout.git("rev-parse", "HEAD"))
    assert (release.path / "a.secret").read_bytes().startswith(b"\0GITCRYPT\0")


async def test_a_submodule_that_is_unlocked_in_the_checkout_is_readable(
    upstream: Repository, tmp_path: Path
) -> None:
    outer = Repository(tmp_path / "outer")
    outer.git(*FROM_FILES, "submodule", "--quiet", "add", str(upstream.path), "inner")
    outer.commit()
    unlocked(at(outer.path / "inner"), tmp_path / "key")
    release = await releases_of(outer).add(outer.git("rev-parse", "HEAD"))
    assert (release.path / "inner" / "a.secret").read_text() == SECRET
