"""With `follow = "reset"`, a checkout becomes what its upstream has, and no data is lost."""

import logging
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from blue_green.source.git_errors import GitError
from tests.support.repository import Repository, git_of


@pytest.fixture
def upstream(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "upstream")


@pytest.fixture
def checkout(upstream: Repository, tmp_path: Path) -> Repository:
    return upstream.clone(tmp_path / "checkout")


async def pull(checkout: Repository) -> str:
    return await git_of(checkout.path).pull(None, resets=True)


def rewrite(upstream: Repository, **files: str) -> str:
    """Replace the only commit by another one, as a forced push does."""
    for name, content in files.items():
        (upstream.path / name).parent.mkdir(parents=True, exist_ok=True)
        (upstream.path / name).write_text(content)
    upstream.git("add", "-A", "--force")
    upstream.git("commit", "-q", "--amend", "-m", "rewritten")
    return upstream.git("rev-parse", "HEAD")


async def test_a_rewritten_branch_is_taken_over(
    upstream: Repository, checkout: Repository, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "blue_green.source.reset")
    (checkout.path / "text.txt").write_text("changed here")
    (checkout.path / "data.db").write_text("untracked")
    new = rewrite(upstream, **{"text.txt": "rewritten"})
    with pytest.raises(GitError, match=r'follow = "reset" in \[git\]'):
        await git_of(checkout.path).pull(None)
    assert await pull(checkout) == new
    assert checkout.git("rev-parse", "main") == new
    assert checkout.git("symbolic-ref", "HEAD") == "refs/heads/main"
    assert checkout.git("status", "--porcelain") == "?? data.db"
    assert (checkout.path / "text.txt").read_text() == "rewritten"
    old = checkout.first
    assert caplog.messages == [
        f"main was reset from {old[:7]} to {new[:7]}, leaving 1 commit behind: to keep them, "
        f"git branch rescued {old[:12]}",
        "changes of 1 tracked file were lost with that",
    ]
    assert checkout.git("rev-parse", "HEAD@{1}") == old


async def test_commits_that_only_the_checkout_has_are_left_behind(
    upstream: Repository, checkout: Repository, caplog: pytest.LogCaptureFixture
) -> None:
    checkout.commit(text="one")
    here = checkout.commit(text="two")
    assert await pull(checkout) == upstream.first
    assert f"leaving 2 commits behind: to keep them, git branch rescued {here[:12]}" in caplog.text


async def test_an_ordinary_push_is_followed_silently(
    upstream: Repository, checkout: Repository, caplog: pytest.LogCaptureFixture
) -> None:
    second = upstream.commit(text="second")
    assert await pull(checkout) == second == await pull(checkout)
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("data.db", "data.db"),
        ("ignored/data.db", "ignored/data.db"),
        ("data/inner/file", "data"),
        ("data", "data/inner/file"),
        ('odd "ü"\t.db', 'odd "ü"\t.db'),
    ],
)
async def test_an_untracked_file_is_never_overwritten(
    upstream: Repository, checkout: Repository, theirs: str, ours: str
) -> None:
    (checkout.path / ".git" / "info" / "exclude").write_text("ignored\n")
    file = checkout.path / ours
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("data")
    rewrite(upstream, **{theirs: "theirs", "text.txt": "theirs"})
    with pytest.raises(GitError, match=r"would be overwritten: .*\. Move them away"):
        await pull(checkout)
    assert file.read_text() == "data"
    assert (checkout.path / "text.txt").read_text() == "first", "all or nothing"
    file.rename(checkout.path / "moved away")
    await pull(checkout)
    assert (checkout.path / theirs).read_text() == "theirs"


async def test_a_symbolic_link_to_data_is_never_replaced(
    upstream: Repository, checkout: Repository, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (checkout.path / "media").symlink_to(tmp_path / "elsewhere")
    rewrite(upstream, **{"media/picture": "theirs"})
    with pytest.raises(GitError, match="would be overwritten: media"):
        await pull(checkout)
    assert list((tmp_path / "elsewhere").iterdir()) == []


async def test_untracked_files_in_a_directory_that_goes_are_kept(
    upstream: Repository, checkout: Repository
) -> None:
    rewrite(upstream, **{"app/code": "theirs"})
    await pull(checkout)
    (checkout.path / "app" / "data.db").write_text("data")
    upstream.git("rm", "-q", "-r", "app")
    rewrite(upstream)
    await pull(checkout)
    assert [path.name for path in (checkout.path / "app").iterdir()] == ["data.db"]


async def test_a_submodule_that_becomes_a_directory_is_not_overwritten(
    upstream: Repository, checkout: Repository, tmp_path: Path
) -> None:
    library = Repository(tmp_path / "library")
    allow = ("-c", "protocol.file.allow=always")
    upstream.git(*allow, "submodule", "add", "-q", str(library.path), "shared")
    rewrite(upstream)
    await pull(checkout)
    checkout.git(*allow, "submodule", "update", "-q", "--init")
    (checkout.path / "shared" / "data.db").write_text("data")
    upstream.git("rm", "-q", "-f", "shared")
    rewrite(upstream, **{"shared/data.db": "theirs"})
    with pytest.raises(GitError, match="would be overwritten: shared"):
        await pull(checkout)
    assert (checkout.path / "shared" / "data.db").read_text() == "data"


async def test_an_unfinished_merge_is_not_reset(upstream: Repository, checkout: Repository) -> None:
    checkout.git("checkout", "-q", "-b", "side")
    checkout.commit(text="side")
    checkout.git("checkout", "-q", "main")
    checkout.commit(text="main")
    with suppress(subprocess.CalledProcessError):
        checkout.git("merge", "-q", "side")
    rewrite(upstream, **{"text.txt": "rewritten"})
    with pytest.raises(GitError, match="a merge is not finished in the checkout"):
        await pull(checkout)


async def test_a_detached_head_and_another_branch_are_not_reset(
    upstream: Repository, checkout: Repository
) -> None:
    rewrite(upstream, **{"text.txt": "rewritten"})
    checkout.git("checkout", "-q", "--detach")
    with pytest.raises(GitError, match="HEAD is detached"):
        await pull(checkout)
    checkout.git("checkout", "-q", "-b", "side")
    with pytest.raises(GitError, match="side is checked out, not main"):
        await git_of(checkout.path).pull("main", resets=True)
    assert checkout.git("rev-parse", "HEAD") == checkout.first


@pytest.mark.parametrize("resets", [True, False])
async def test_a_lock_of_git_is_named(
    upstream: Repository, checkout: Repository, resets: bool
) -> None:
    upstream.commit(text="second")
    (checkout.path / ".git" / "index.lock").touch()
    with pytest.raises(GitError, match=r"index\.lock': File exists: another git runs") as caught:
        await git_of(checkout.path).pull(None, resets=resets)
    assert len(str(caught.value).splitlines()) == 1
