"""Git operations: resolve revisions, make work trees, fetch, and follow an upstream.

`git pull` is a fetch followed by a fast-forward here. For how git is run, see `git_command`.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from attrs import define, frozen

from blue_green.source import git_command, reset
from blue_green.source.git_errors import GitError, NoAnswer
from blue_green.source.revision import REVISION
from blue_green.system import root, threads
from blue_green.system.printable import printable_line
from blue_green.system.users import User

LOCAL_TIMEOUT = 300.0
"""Seconds for commands that stay on this machine; a large work tree takes a while."""
MAX_OUTPUT = 64 * 1024 * 1024
"""Bytes of output: the file names of a large repository take some ten million."""
LONGEST_SUBJECT = 4096
"""Bytes of a subject line that are read."""
SUBJECT_TIMEOUT = 5.0
"""Seconds for the subject line, which is only for display."""
READABLE = {
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "core.quotePath",
    "GIT_CONFIG_VALUE_0": "false",
}
"""Variables with which git does not quote names that are not ASCII."""


@frozen
class GitPaths:
    """The directories of a checkout's repository, which differ in a linked work tree."""

    git_dir: Path
    common_dir: Path


@frozen
class RemoteBranch:
    """The upstream of a local branch: a remote, and a ref there such as refs/heads/main."""

    branch: str
    remote: str
    source: str


@define(eq=False)
class Git:
    """The git of one checkout."""

    checkout: Path
    owner: User
    env: Mapping[str, str]
    fetch_timeout: float
    """Seconds. A reload may change it."""
    git_dir: Path | None = None
    """The repository, if it is not the checkout's own."""

    async def paths(self) -> GitPaths:
        """The directories of the repository; raise `GitError` if another user owns one of them."""
        out = await self.run("rev-parse", "--absolute-git-dir", "--git-common-dir")
        git_dir, common_dir = out.splitlines()
        paths = GitPaths(Path(git_dir), self.checkout / common_dir)
        if os.geteuid() == 0:
            used = (self.checkout, paths.git_dir, paths.common_dir)
            await threads.run(_check_owner, self.owner, used, abandon_on_cancel=True)
        return paths

    async def head(self) -> str:
        """The revision that is checked out."""
        return await self.resolve("HEAD")

    async def resolve(self, name: str) -> str:
        """The revision of a branch, a tag or an abbreviated id."""
        if not name.isprintable() or not name or name.startswith("-") or ".." in name:
            raise GitError(f'"{name}" is not the name of a revision')
        try:
            revision = await self.run("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
        except NoAnswer:
            raise GitError(f"{self.checkout} has no revision {name}") from None
        if not REVISION.fullmatch(revision):
            raise GitError(f'"{name}" does not name one revision')
        return revision

    async def subject(self, revision: str) -> str:
        """The subject line of a commit, as printable text."""
        _check(revision)
        # By default, `git log` may run programs that check signatures.
        words = ("log", "--no-show-signature", "-1", "--format=%s", revision)
        done = await git_command.run(
            self, *words, timeout=SUBJECT_TIMEOUT, env={}, max_output=LONGEST_SUBJECT
        )
        return printable_line(done.stdout.strip().encode(errors="surrogateescape"))

    async def add_worktree(self, path: Path, revision: str, *, is_empty: bool = False) -> None:
        """Add a work tree of a revision with a detached HEAD; if `is_empty`, without files."""
        _check(revision)
        how = ("--force", "--force", "--detach", *(["--no-checkout"] if is_empty else []))
        await self.run("worktree", "add", *how, str(path), revision)

    async def forget_worktrees(self, directory: Path) -> None:
        """Forget work trees in this directory that were deleted, and those inside of them.

        Not elsewhere: another work tree may be on a disk that is not mounted now. And only if the
        whole entry of the directory is gone: git deletes what it finds at the path, which the app's
        user can change in a release that still exists.
        """
        listed = (await self.run("worktree", "list", "--porcelain")).splitlines()
        paths = [Path(line[9:]) for line in listed if line.startswith("worktree ")]
        for path in await threads.run(_deleted, paths, directory, abandon_on_cancel=True):
            await self.run("worktree", "remove", "--force", "--force", str(path))

    async def has(self, revision: str) -> bool:
        """Whether the repository has this commit."""
        _check(revision)
        try:
            await self.run("cat-file", "-e", f"{revision}^{{commit}}")
        except GitError:
            return False
        return True

    async def fetch_commit(self, revision: str, url: str) -> None:
        """Fetch a commit from an untrusted url; raise `GitError`.

        Fetches all branches and tags as they are now, even if they were moved, deleted or renamed.
        A commit that is on none of them is fetched by its id, which not every server allows. Only
        transports are used that git considers safe for such a url: https, http, ssh and git, unless
        the owner has configured others (`protocol.allow`, git-config(1)).
        """
        _check(revision)
        fetch = partial(self.run, "fetch", "--quiet", timeout=self.fetch_timeout)
        fetch = partial(fetch, env={"GIT_PROTOCOL_FROM_USER": "0"})
        all_ = ("--force", "--prune", "--tags")
        await fetch(*all_, "--", url, "+refs/heads/*:refs/remotes/origin/*")
        if await self.has(revision):
            return
        try:
            await fetch("--no-tags", "--", url, revision)
        except GitError as error:
            raise GitError(f"{url} has no {revision[:12]}; was it pushed? {error}") from None

    async def upstream_url(self) -> str:
        """The url that the current branch is pulled from, or else the path of the checkout."""
        try:
            branch = await self.run("symbolic-ref", "--quiet", "--short", "HEAD")
        except GitError:
            branch = ""  # Detached.
        remote = await self.config(f"branch.{branch}.remote") if branch else ""
        return await self.config(f"remote.{remote or 'origin'}.url") or str(self.checkout)

    async def pull(self, branch: str | None, *, resets: bool = False) -> str:
        """Fetch the upstream of the branch and fast-forward, or reset, to it; the new HEAD.

        Raises `GitError` with what to do if that is not possible.
        """
        followed = await self.upstream(branch)
        current, where = followed.branch, (followed.remote, followed.source)
        # Without force, a tag that was moved is an error if the remote's tagOpt fetches it.
        await self.run("fetch", "--quiet", "--force", *where, timeout=self.fetch_timeout)
        tracked = await self.run("for-each-ref", "--format=%(upstream)", f"refs/heads/{current}")
        upstream = await self.resolve(tracked)
        current_head = await self.head()
        if resets and upstream != current_head:
            await reset.to(self, current, upstream)
            return upstream
        if await self._is_ancestor(upstream, current_head):
            return current_head
        if not await self._is_ancestor(current_head, upstream):
            raise GitError(
                f"{current} and its upstream have diverged: "
                f"git rebase, or git reset --hard {upstream[:12]} to take theirs, or always so: "
                'follow = "reset" in [git]'
            )
        await self.check_directories(current_head, upstream)
        await self.run("merge", "--quiet", "--ff-only", upstream)
        return upstream

    async def upstream(self, branch: str | None) -> RemoteBranch:
        """The upstream of the current branch; raise `GitError` with what to do.

        Also if that is another branch than `branch`.
        """
        try:
            full = await self.run("symbolic-ref", "--quiet", "HEAD")
        except NoAnswer:
            raise GitError("HEAD is detached: check out a branch to follow") from None
        current = full.removeprefix("refs/heads/")
        if branch is not None and current != branch:
            raise GitError(f"{current} is checked out, not {branch}: git checkout {branch}")
        remote = await self.config(f"branch.{current}.remote")
        source = await self.config(f"branch.{current}.merge")
        if not remote or not source:
            raise GitError(
                f"{current} has no upstream: git branch --set-upstream-to origin/{current}"
            )
        return RemoteBranch(current, remote, source)

    async def reach(self, upstream: RemoteBranch) -> None:
        """Check that the remote has the branch, without fetching it; raise `GitError` if not."""
        where = (upstream.remote, upstream.source)
        try:
            await self.run("ls-remote", "--exit-code", *where, timeout=self.fetch_timeout)
        except NoAnswer:
            raise GitError("{} has no {}".format(*where)) from None

    async def is_top(self) -> bool:
        """Whether the checkout is a whole work tree, not a directory inside of one."""
        return not await self.prefix()

    async def prefix(self) -> str:
        """The path of the checkout inside of its work tree; empty for a whole work tree."""
        return (await self.run("rev-parse", "--show-prefix")).rstrip("/")

    async def names(self, revision: str) -> frozenset[str]:
        """The paths of all files and directories of a revision.

        Names with control characters, quotes or backslashes are quoted as in C.
        """
        _check(revision)
        listed = await self.run("ls-tree", "-r", "-t", "--name-only", revision, env=READABLE)
        return frozenset(listed.splitlines())

    async def changed(self) -> int:
        """How many tracked files differ from HEAD."""
        return len((await self.run("status", "--porcelain", "--untracked-files=no")).splitlines())

    async def _is_ancestor(self, older: str, newer: str) -> bool:
        try:
            await self.run("merge-base", "--is-ancestor", older, newer)
        except NoAnswer:
            return False
        return True

    async def is_contained(self, revision: str, others: Iterable[str]) -> bool:
        """Whether it is one of these or an ancestor of one; unknown revisions are ignored."""
        excluded = [f"^{other}" for other in others if REVISION.fullmatch(other)]
        _check(revision)
        words = ("rev-list", "--ignore-missing", "--max-count=1", revision, *excluded, "--")
        return not await self.run(*words)

    async def config(self, key: str) -> str:
        """The value of a git setting; "" if it is not set."""
        try:
            return await self.run("config", "--get", key)
        except GitError:
            return ""

    async def run(
        self, *words: str, timeout: float = LOCAL_TIMEOUT, env: Mapping[str, str] | None = None
    ) -> str:
        """Run a git command; its output. Raises `GitError` with what git reported."""
        done = await git_command.run(
            self, *words, timeout=timeout, env=env or {}, max_output=MAX_OUTPUT
        )
        if done.wrote_too_much:
            raise GitError(f"git {words[0]} wrote more than {MAX_OUTPUT} bytes")
        return done.stdout.strip()

    async def check_directories(self, *revisions: str) -> None:
        """As root, raise `GitError` if other users can write to directories that git writes to."""
        if not root.is_us() or self.owner.uid != 0:
            return
        for revision in revisions:
            listed = await self.run("ls-tree", "-r", "-d", "-z", "--name-only", revision)
            names = (name for name in listed.split("\0") if name)
            try:
                await threads.run(root.check_directories, self.checkout, names)
            except root.Unsafe as error:
                raise GitError(str(error)) from None


def _check_owner(owner: User, paths: Iterable[Path]) -> None:
    """Raise `GitError` if one of these directories belongs to another user."""
    for path in paths:
        if path.stat().st_uid != owner.uid:
            raise GitError(
                f"{path} does not belong to {owner.name}, but to another user who could "
                f"run anything as {owner.name}: chown -R {owner.name} {path}"
            )


def _deleted(paths: Iterable[Path], directory: Path) -> Sequence[Path]:
    """Those of the paths whose entry of the directory is gone."""
    top = directory.resolve()
    inside = [path for path in paths if top in path.parents]
    return [path for path in inside if not os.path.lexists(top / path.relative_to(top).parts[0])]


def _check(revision: str) -> None:
    if not REVISION.fullmatch(revision):
        raise GitError(f'"{revision}" is not a revision')
