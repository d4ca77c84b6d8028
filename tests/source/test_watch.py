"""Each new HEAD of a checkout is reported once, however it changed."""

import logging
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import trio

from blue_green.config.site_settings import GitSettings
from blue_green.source import watch
from blue_green.source.watch import LONGEST_LOCK, Watch, pull_delay
from tests.support.app_checkout import git
from tests.support.following import Following, following, some_looks
from tests.support.repository import Repository, git_of
from tests.waiting import until


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "checkout")


async def test_a_changed_head_is_reported_at_once(repository: Repository) -> None:
    async with following(repository.path, knows_head=False) as it:
        await it.until_told(repository.first)


async def test_another_branch_at_the_same_revision_is_not_reported(repository: Repository) -> None:
    async with following(repository.path) as it:
        repository.git("checkout", "-q", "-b", "feature/deep")
        await some_looks()
        assert it.told == []
        second = repository.commit(text="second")
        await it.until_told(second)


async def test_packed_refs_are_followed(repository: Repository) -> None:
    async with following(repository.path) as it:
        repository.git("pack-refs", "--all")
        await some_looks()
        assert it.told == []
        second = repository.commit(text="second")
        await it.until_told(second)
        repository.git("pack-refs", "--all")
        repository.git("update-ref", "refs/heads/main", repository.first)
        await it.until_told(second, repository.first)


async def test_a_ref_that_moves_without_a_reflog_is_followed(repository: Repository) -> None:
    second = repository.commit(text="second")
    repository.git("config", "core.logAllRefUpdates", "false")
    shutil.rmtree(repository.path / ".git" / "logs")
    async with following(repository.path) as it:
        repository.git("update-ref", "refs/heads/main", repository.first)
        await it.until_told(repository.first)
        repository.git("update-ref", "refs/heads/main", second)
        await it.until_told(repository.first, second)


async def test_a_linked_work_tree_can_be_the_checkout(
    repository: Repository, tmp_path: Path
) -> None:
    repository.git("worktree", "add", "-q", "-b", "live", str(tmp_path / "linked"))
    async with following(tmp_path / "linked") as it:
        repository.commit(text="elsewhere")
        await some_looks()
        assert it.told == []
        repository.git("update-ref", "refs/heads/live", "refs/heads/main")
        await it.until_told(repository.git("rev-parse", "live"))


WAYS = {
    "a commit": [["commit", "-q", "--allow-empty", "-m", "more"]],
    "an amended commit": [["commit", "-q", "--amend", "--allow-empty", "-m", "better"]],
    "a pull": [["pull", "-q", "--rebase=false", "--no-edit", "theirs", "main"]],
    "a merge": [["merge", "-q", "--no-ff", "-m", "merged", "side"]],
    "a rebase": [["rebase", "-q", "--root"]],
    "a reset": [["reset", "-q", "--hard", "HEAD~1"]],
    "a checkout of a revision": [["checkout", "-q", "--detach", "side~1"]],
    "a checkout of a branch": [["checkout", "-q", "side"]],
    "packed refs": [["update-ref", "refs/heads/side", "side~1"], ["pack-refs", "--all", "--prune"]],
}


@pytest.mark.parametrize("kind", ["a checkout", "a linked work tree"])
async def test_every_move_of_head_is_reported_once_within_a_second(
    repository: Repository, tmp_path: Path, is_timed: bool, kind: str
) -> None:
    theirs = repository.clone(tmp_path / "theirs")
    theirs.commit(other="theirs")
    repository.git("checkout", "-q", "-b", "side")
    for number in range(3):
        repository.commit(side=str(number))
    repository.git("checkout", "-q", "main")
    repository.git("remote", "add", "theirs", str(theirs.path))
    checkout = repository.path
    if kind == "a linked work tree":
        checkout = tmp_path / "linked"
        repository.git("worktree", "add", "-q", "-b", "live", str(checkout))
    async with following(checkout) as it:
        for way, commands in WAYS.items():
            before = list(it.told)
            for words in commands:
                git(checkout, *words)
            head = git(checkout, "rev-parse", "HEAD")
            assert [head] != before[-1:], f"{way} did not move HEAD"
            await it.until_told(*before, head, timeout=1 if is_timed else 5)


async def test_a_merge_is_reported_when_it_is_complete(repository: Repository) -> None:
    repository.git("checkout", "-q", "-b", "side")
    repository.commit(text="side")
    repository.git("checkout", "-q", "main")
    repository.commit(text="main")
    async with following(repository.path) as it:
        with pytest.raises(subprocess.CalledProcessError):
            repository.git("merge", "-q", "side")
        await some_looks()
        assert (it.told, it.watch.problem) == ([], "")
        await it.until_told(repository.commit(text="both"))


async def test_a_stuck_rebase_is_logged_and_its_head_not_deployed(
    repository: Repository, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "blue_green.source.watch")
    repository.git("checkout", "-q", "-b", "side")
    repository.commit(other="in no conflict")
    repository.commit(text="side")
    repository.git("checkout", "-q", "main")
    repository.commit(text="main")
    repository.git("checkout", "-q", "side")
    async with following(repository.path) as it:
        with pytest.raises(subprocess.CalledProcessError):
            repository.git("rebase", "-q", "main")
        await some_looks()
        assert (it.told, it.watch.problem) == ([], "")
        long_ago = time.time() - LONGEST_LOCK
        os.utime(repository.path / ".git" / "rebase-merge", (long_ago, long_ago))
        await until("it is told of", lambda: it.watch.problem)
        assert "cherry-pick or revert is not finished there: --continue" in it.watch.problem
        (repository.path / "text.txt").write_text("both")
        repository.git("add", "-A")
        repository.git("-c", "core.editor=true", "rebase", "--continue")
        await it.until_told(repository.git("rev-parse", "side"))
        assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.INFO]


async def test_the_head_of_a_half_done_rebase_is_better_than_none(repository: Repository) -> None:
    (repository.path / ".git" / "rebase-merge").mkdir()
    async with following(repository.path, knows_head=False) as it:
        await it.until_told(repository.first)


async def test_a_running_git_command_is_waited_for(repository: Repository) -> None:
    second = repository.commit(text="second")
    lock = repository.path / ".git" / "index.lock"
    async with following(repository.path) as it:
        lock.touch()
        repository.git("update-ref", "refs/heads/main", repository.first)
        await some_looks()
        assert it.told == []
        lock.unlink()
        await it.until_told(repository.first)
        assert second not in it.told


async def test_a_vanished_checkout_is_logged_once_and_its_return_noticed(
    repository: Repository, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "blue_green.source.watch")
    async with following(repository.path) as it:
        await some_looks()
        repository.path.rename(tmp_path / "away")
        await until("a problem", lambda: it.watch.problem)
        await some_looks()
        errors = [record for record in caplog.records if record.levelno == logging.ERROR]
        assert len(errors) == 1
        assert f"cannot follow {repository.path}" in it.watch.problem

        (tmp_path / "away").rename(repository.path)
        await until("no problem", lambda: not it.watch.problem)
        assert caplog.messages[-1] == f"can follow again: {repository.path}"
        second = repository.commit(text="second")
        await it.until_told(second)


async def test_a_checkout_that_was_missing_at_first_is_noticed_when_it_appears(
    repository: Repository, tmp_path: Path
) -> None:
    it = Following(Watch(GitSettings(repository.path), git_of(repository.path)))
    away = repository.path.rename(tmp_path / "away")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(it.watch.run, None, it.on_head)
        await until("a problem", lambda: it.watch.problem)
        away.rename(repository.path)
        await it.until_told(repository.first)
        assert it.watch.problem == ""
        nursery.cancel_scope.cancel()


async def test_a_head_that_was_unreadable_at_first_is_read_again(
    repository: Repository, tmp_path: Path
) -> None:
    """The ref has moved, and git fails only this once: nothing else will move to tell of it."""
    second = repository.commit(text="second")
    repository.git("reset", "-q", "--hard", repository.first)
    stored = repository.path / ".git" / "objects" / second[:2] / second[2:]
    async with following(repository.path) as it:
        stored.rename(tmp_path / "object")
        (repository.path / ".git" / "refs" / "heads" / "main").write_text(f"{second}\n")
        await until("a problem", lambda: it.watch.problem)
        (tmp_path / "object").rename(stored)
        await it.until_told(second)
        assert it.watch.problem == ""


# --- pull -----------------------------------------------------------------------------------


@pytest.fixture
def upstream(repository: Repository, tmp_path: Path) -> Repository:
    """A work tree of somebody else, who pushes to where `repository` pulls from."""
    bare = tmp_path / "bare.git"
    repository.git("clone", "-q", "--bare", str(repository.path), str(bare))
    repository.git("remote", "add", "origin", str(bare))
    repository.git("fetch", "-q", "origin")
    repository.git("branch", "-q", "-u", "origin/main")
    other = repository.clone(tmp_path / "other")
    other.git("remote", "set-url", "origin", str(bare))
    return other


def test_failing_pulls_back_off_with_jitter() -> None:
    usual = [pull_delay(60, failures, 0.5) for failures in range(6)]
    assert usual == [60, 120, 240, 480, 480, 480]
    assert [pull_delay(60, 0, chance) for chance in (0.0, 1.0)] == pytest.approx([54, 66])
    assert pull_delay(60, 2, 1.0) == pytest.approx(264)


async def test_a_pushed_commit_is_pulled_and_reported(
    repository: Repository, upstream: Repository
) -> None:
    async with following(repository.path, pull_every=0.2) as it:
        second = upstream.commit(text="second")
        upstream.git("push", "-q", "origin", "main")
        await it.until_told(second)
        assert (repository.path / "text.txt").read_text() == "second"


async def test_a_commit_here_does_not_hide_that_pulls_fail(
    repository: Repository, upstream: Repository
) -> None:
    repository.git("remote", "set-url", "origin", "/nowhere")
    async with following(repository.path, pull_every=0.2) as it:
        await until("a problem", lambda: "cannot pull" in it.watch.problem)
        await it.until_told(repository.commit(text="second"))
        assert "cannot pull" in it.problems[0]


async def test_a_hundred_requests_for_a_pull_cause_one(
    repository: Repository, upstream: Repository, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    async with following(repository.path, git=git_of(repository.path, GIT_TRACE=str(trace))) as it:
        second = upstream.commit(text="second")
        upstream.git("push", "-q", "origin", "main")
        for _ in range(100):
            it.watch.pull_now()
            await trio.lowlevel.checkpoint()
        await it.until_told(second)
        await trio.sleep(2 * watch.DEBOUNCE)  # For a second one, if there were one.
        assert trace.read_text().count("git fetch --quiet --force origin") == 1


async def test_a_pull_requested_during_another_follows_it(
    repository: Repository, upstream: Repository, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    async with following(repository.path, git=git_of(repository.path, GIT_TRACE=str(trace))) as it:
        async with it.watch.lock:
            it.watch.pull_now()
            await trio.sleep(2 * watch.DEBOUNCE)  # It waits for its turn.
            it.watch.pull_now()
        await until("two", lambda: trace.read_text().count("git fetch --quiet --force origin") == 2)


async def test_a_requested_pull_that_failed_is_retried(
    repository: Repository,
    upstream: Repository,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "REQUEST_RETRY", 0.1)
    bare = tmp_path / "bare.git"
    second = upstream.commit(text="second")
    upstream.git("push", "-q", "origin", "main")
    bare.rename(tmp_path / "away")
    async with following(repository.path) as it:
        it.watch.pull_now()
        await until("a problem", lambda: "cannot pull" in it.watch.problem)
        await some_looks()
        assert "cannot pull" in it.watch.problem, "it was forgotten"
        (tmp_path / "away").rename(bare)
        await it.until_told(second)
        await until("no problem", lambda: not it.watch.problem)
