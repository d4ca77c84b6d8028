"""Every git command that the program runs, against real repositories."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from blue_green.source import git as git_module
from blue_green.source.git_errors import GitError, NoAnswer
from blue_green.system import procfs, root
from tests.support.repository import Repository, git_of


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "upstream")


@pytest.fixture
def checkout(repository: Repository, tmp_path: Path) -> Repository:
    """A clone whose `main` follows that of `repository`."""
    return repository.clone(tmp_path / "checkout")


def add_hooks(checkout: Repository, *names: str) -> Path:
    """Hooks that leave a file; its path."""
    trace = checkout.path.parent / "a hook was run"
    for name in names:
        hook = checkout.path / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f'#!/bin/sh\ntouch "{trace}"\n')
        hook.chmod(0o755)
    return trace


# --- names ----------------------------------------------------------------------------------


async def test_a_name_resolves_to_a_revision(repository: Repository) -> None:
    second = repository.commit(text="second")
    repository.git("tag", "-a", "v1", "-m", "annotated", repository.first)
    git = git_of(repository.path)
    assert await git.head() == second
    for name in ("v1", "HEAD~1", repository.first, repository.first[:8], "main^"):
        assert await git.resolve(name) == repository.first


async def test_a_subject_is_the_first_line_of_the_message_and_can_be_printed(
    repository: Repository,
) -> None:
    repository.git("commit", "-q", "--allow-empty", "-m", "Über\x1b[2J\n\nand why")
    repository.git("config", "log.showSignature", "true")
    git = git_of(repository.path)
    assert await git.subject(await git.head()) == "Über\\x1b[2J"
    with pytest.raises(GitError):
        await git.subject("f" * 40)


async def test_only_the_beginning_of_an_enormous_subject_is_read(repository: Repository) -> None:
    message = repository.path / "message"
    message.write_text("Title " + "x" * 50_000_000)
    repository.git("commit", "-q", "--allow-empty", "-F", str(message))
    before = procfs.memory(os.getpid())
    subject = await git_of(repository.path).subject(repository.git("rev-parse", "HEAD"))
    assert subject.startswith("Title xxx")
    assert len(subject) < 10_000
    assert procfs.memory(os.getpid()) < before + 20 * 2**20


async def test_a_git_command_that_writes_endlessly_is_ended_with_an_error(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git_module, "MAX_OUTPUT", 1000)
    repository.commit(**{f"a-rather-long-name-{number}": "" for number in range(100)})
    with pytest.raises(GitError, match="git ls-tree wrote more than 1000 bytes"):
        await git_of(repository.path).names(repository.git("rev-parse", "HEAD"))


@pytest.mark.parametrize("name", ["", "-h", "--help", "--all", "a\nb", "main\x00", "\ud800"])
async def test_a_name_that_git_could_take_for_an_option_is_refused(
    repository: Repository, name: str
) -> None:
    with pytest.raises(GitError, match="is not the name of a revision"):
        await git_of(repository.path).resolve(name)


@pytest.mark.parametrize(
    "name", ["nowhere", "f" * 40, "main:text.txt", "main..main", "^main", ".."]
)
async def test_an_unknown_name_is_reported(repository: Repository, name: str) -> None:
    with pytest.raises(GitError) as caught:
        await git_of(repository.path).resolve(name)
    assert name in str(caught.value)


async def test_a_directory_that_is_no_checkout_is_reported(tmp_path: Path) -> None:
    with pytest.raises(GitError, match="not a git repository"):
        await git_of(tmp_path).head()


async def test_a_repository_without_a_commit_has_no_head(repository: Repository) -> None:
    repository.git("checkout", "-q", "--orphan", "empty")
    with pytest.raises(GitError, match="has no revision HEAD"):
        await git_of(repository.path).head()


@pytest.mark.parametrize(
    "variable", ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR"]
)
async def test_a_supervisor_started_by_a_hook_stays_with_its_checkout(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, str(tmp_path / "other"))
    assert await git_of(repository.path).head() == repository.first


# --- places ---------------------------------------------------------------------------------


async def test_a_checkout_keeps_everything_in_its_git_directory(repository: Repository) -> None:
    places = await git_of(repository.path).paths()
    assert places.git_dir.samefile(repository.path / ".git")
    assert places.common_dir.samefile(repository.path / ".git")


async def test_a_linked_work_tree_shares_the_common_git_directory(
    repository: Repository, tmp_path: Path
) -> None:
    repository.git("worktree", "add", "-q", "-b", "other", str(tmp_path / "linked"))
    places = await git_of(tmp_path / "linked").paths()
    assert places.git_dir.samefile(repository.path / ".git" / "worktrees" / "linked")
    assert places.common_dir.samefile(repository.path / ".git")


@pytest.mark.parametrize("name", ["with space", "ünïcode", "no\xa0break", "tab\there", " ends "])
async def test_a_checkout_may_have_any_name(tmp_path: Path, name: str) -> None:
    repository = Repository(tmp_path / name)
    places = await git_of(repository.path).paths()
    assert places.git_dir.samefile(repository.path / ".git")


# --- work trees -----------------------------------------------------------------------------


async def test_a_work_tree_is_added(repository: Repository, tmp_path: Path) -> None:
    repository.commit(text="second")
    git, path = git_of(repository.path), tmp_path / "release"
    await git.add_worktree(path, repository.first)
    assert (path / "text.txt").read_text() == "first"
    assert await git.head() != repository.first


async def test_a_work_tree_inside_an_existing_release_is_not_touched(
    repository: Repository, tmp_path: Path
) -> None:
    """Whoever the release belongs to may put something else in its place at any moment."""
    git, releases = git_of(repository.path), tmp_path / "releases"
    await git.add_worktree(releases / "one" / "inner", repository.first)
    (releases / "one" / "inner").rename(tmp_path / "moved")
    await git.forget_worktrees(releases)
    assert str(releases) in repository.git("worktree", "list")
    (releases / "one").rmdir()
    await git.forget_worktrees(releases)
    assert str(releases) not in repository.git("worktree", "list")


async def test_a_work_tree_whose_files_are_gone_is_pruned(
    repository: Repository, tmp_path: Path
) -> None:
    git, path, own = git_of(repository.path), tmp_path / "releases" / "one", tmp_path / "own"
    for place in (path, own):
        await git.add_worktree(place, repository.first)
        place.rename(tmp_path / f"moved {place.name}")
    await git.forget_worktrees(tmp_path / "releases")
    left = repository.git("worktree", "list")
    assert str(path) not in left
    assert str(own) in left, "it is somebody else's"


# --- pull -----------------------------------------------------------------------------------


async def test_a_pull_fast_forwards_to_the_upstream(
    repository: Repository, checkout: Repository
) -> None:
    second = repository.commit(text="second")
    assert await git_of(checkout.path).pull(None) == second
    assert checkout.git("rev-parse", "main") == second
    assert (checkout.path / "text.txt").read_text() == "second"


async def test_a_pull_of_nothing_new_changes_nothing(checkout: Repository) -> None:
    assert await git_of(checkout.path).pull("main") == checkout.first


async def test_a_checkout_that_is_ahead_stays_where_it_is(checkout: Repository) -> None:
    ahead = checkout.commit(text="not pushed")
    assert await git_of(checkout.path).pull(None) == ahead


async def test_a_pull_keeps_changes_that_do_not_conflict(
    repository: Repository, checkout: Repository
) -> None:
    second = repository.commit(other="new")
    (checkout.path / "text.txt").write_text("edited here")
    assert await git_of(checkout.path).pull(None) == second
    assert (checkout.path / "text.txt").read_text() == "edited here"


def diverged(upstream: Repository, checkout: Repository) -> None:
    upstream.commit(text="theirs")
    checkout.commit(text="ours")


def force_pushed(upstream: Repository, checkout: Repository) -> None:
    upstream.git("commit", "-q", "--amend", "-m", "rewritten")


def detached(_: Repository, checkout: Repository) -> None:
    checkout.git("checkout", "-q", "--detach")


def other_branch(_: Repository, checkout: Repository) -> None:
    checkout.git("checkout", "-q", "-b", "feature")


def no_upstream(_: Repository, checkout: Repository) -> None:
    checkout.git("branch", "-q", "--unset-upstream")


def no_remote(_: Repository, checkout: Repository) -> None:
    checkout.git("remote", "set-url", "origin", "/nowhere/at/all")


def branch_deleted(upstream: Repository, _: Repository) -> None:
    upstream.git("branch", "-q", "-m", "main", "trunk")


def changes_in_the_way(upstream: Repository, checkout: Repository) -> None:
    upstream.commit(text="second")
    (checkout.path / "text.txt").write_text("edited here")


def a_file_in_the_way(upstream: Repository, checkout: Repository) -> None:
    upstream.commit(new="theirs")
    (checkout.path / "new.txt").write_text("ours, untracked")


def checkout_gone(_: Repository, checkout: Repository) -> None:
    checkout.path.rename(checkout.path.with_name("moved"))


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (diverged, "main and its upstream have diverged: git rebase, or git reset --hard"),
        (force_pushed, "main and its upstream have diverged"),
        (detached, "HEAD is detached: check out a branch"),
        (other_branch, "feature is checked out, not main: git checkout main"),
        (no_upstream, "main has no upstream: git branch --set-upstream-to origin/main"),
        (no_remote, "/nowhere/at/all"),
        (branch_deleted, "refs/heads/main"),
        (changes_in_the_way, "text.txt"),
        (a_file_in_the_way, "new.txt"),
        (checkout_gone, "there is no directory"),
    ],
)
async def test_an_impossible_pull_says_what_conflicts(
    repository: Repository,
    checkout: Repository,
    prepare: Callable[[Repository, Repository], None],
    said: str,
) -> None:
    git = git_of(checkout.path)
    prepare(repository, checkout)
    with pytest.raises(GitError) as caught:
        await git.pull("main")
    assert said in str(caught.value)
    if checkout.path.exists() and prepare is not diverged:
        assert checkout.git("rev-parse", "HEAD") == checkout.first


async def test_a_tag_with_the_name_of_the_branch_does_not_confuse(
    repository: Repository, checkout: Repository
) -> None:
    checkout.git("tag", "main")
    second = repository.commit(text="second")
    assert await git_of(checkout.path).pull("main") == second


async def test_a_tag_that_was_moved_does_not_stop_a_pull_that_fetches_all_tags(
    repository: Repository, checkout: Repository
) -> None:
    checkout.git("config", "remote.origin.tagOpt", "--tags")
    repository.git("tag", "newest")
    checkout.git("fetch", "-q")
    second = repository.commit(text="second")
    repository.git("tag", "--force", "newest")
    assert await git_of(checkout.path).pull("main") == second


async def test_a_command_that_fails_silently_is_reported_with_its_exit_status(
    repository: Repository,
) -> None:
    with pytest.raises(NoAnswer, match=r"^git rev-parse ended with exit status 1 without a mess"):
        await git_of(repository.path).run("rev-parse", "--verify", "--quiet", "nothing")


async def test_a_killed_git_command_is_not_taken_for_a_negative_answer(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by the kernel, when memory is short."""
    (tmp_path / "git").write_text("#!/bin/sh\nkill -9 $$\n")
    (tmp_path / "git").chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    monkeypatch.setattr(root, "path", lambda: path)  # What counts if we are root.
    git = git_of(repository.path, PATH=path)
    with pytest.raises(GitError, match="was killed by SIGKILL without a message") as caught:
        await git.resolve("main")
    assert not isinstance(caught.value, NoAnswer)


async def test_a_shallow_clone_can_follow(repository: Repository, tmp_path: Path) -> None:
    repository.commit(text="second")
    path = tmp_path / "shallow"
    repository.git("clone", "-q", "--depth", "1", f"file://{repository.path}", str(path))
    third = repository.commit(text="third")
    assert await git_of(path).pull(None) == third


# --- what is not run ------------------------------------------------------------------------


async def test_hooks_of_the_checkout_are_not_run(
    repository: Repository, checkout: Repository, tmp_path: Path
) -> None:
    hooks = ("post-checkout", "post-merge", "reference-transaction", "post-index-change")
    trace = add_hooks(checkout, *hooks)
    git = git_of(checkout.path)
    second = repository.commit(text="second")
    assert await git.pull(None) == second
    await git.add_worktree(tmp_path / "release", second)
    (tmp_path / "release").rename(tmp_path / "moved")
    await git.forget_worktrees(tmp_path)
    assert not trace.exists()

    checkout.git("checkout", "-q", "-b", "as a developer".replace(" ", "-"))
    assert trace.exists(), "the hooks would have been run"


async def test_the_ext_transport_is_refused(checkout: Repository, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    checkout.git("remote", "set-url", "origin", f"ext::sh -c touch% {trace}")
    with pytest.raises(GitError, match="'ext' not allowed"):
        await git_of(checkout.path).pull(None)
    assert not trace.exists()


FAKE_SSH = '#!/bin/sh\necho "$@" > "$HOME/asked"\nexit 9\n'


@pytest.mark.parametrize(
    "command",
    [
        "{home}/fake-ssh",
        "~/fake-ssh",
        "~/fake-ssh -i ~/key",
        '"$HOME/fake-ssh"',
        "$HOME/fake-ssh -v",
    ],
)
async def test_ssh_is_run_as_configured_and_never_prompts(
    checkout: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """git has a shell read this setting, so that `~` and variables are usual in it."""
    monkeypatch.delenv("GIT_SSH_COMMAND", raising=False)
    (tmp_path / "fake-ssh").write_text(FAKE_SSH)
    (tmp_path / "fake-ssh").chmod(0o755)
    checkout.git("config", "core.sshCommand", command.replace("{home}", str(tmp_path)))
    checkout.git("remote", "set-url", "origin", "ssh://localhost/nothing.git")
    with pytest.raises(GitError):
        await git_of(checkout.path, HOME=str(tmp_path)).pull(None)
    asked = (tmp_path / "asked").read_text()
    assert "BatchMode=yes" in asked
    assert ("-i" not in command) or f"-i {tmp_path}/key" in asked


async def test_an_ssh_command_that_is_misspelt_is_an_error_of_git(checkout: Repository) -> None:
    checkout.git("config", "core.sshCommand", "ssh -i 'key")
    checkout.git("remote", "set-url", "origin", "ssh://localhost/nothing.git")
    with pytest.raises(GitError):
        await git_of(checkout.path).pull(None)


# --- what is in it --------------------------------------------------------------------------


async def test_all_names_in_a_revision_are_listed(repository: Repository) -> None:
    long = [f"a name of a file that goes on and on {number}" for number in range(400)]
    revision = repository.commit(**dict.fromkeys([*long, "größe"], ""))
    names = await git_of(repository.path).names(revision)
    assert names == {"text.txt", "größe.txt", *(f"{name}.txt" for name in long)}


async def test_a_subdirectory_of_a_checkout_is_not_one(repository: Repository) -> None:
    (repository.path / "inside").mkdir()
    assert await git_of(repository.path).is_top()
    assert not await git_of(repository.path / "inside").is_top()
