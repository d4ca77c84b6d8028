"""Every git command that we run, and how it is run.

As the owner of the checkout, with nothing of the repository executed on the way (hooks, fsmonitor,
the `ext` transport), never asking anybody anything, and with a time limit that ends the whole
process group. `git pull` is not among them: it is a fetch, and then a fast-forward.
"""

import os
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

import trio
from attrs import define, frozen

from blue_green.source import git_errors, head
from blue_green.source.revision import REVISION
from blue_green.system import command, root
from blue_green.system.printable import printable_line
from blue_green.system.process import CannotStart, ending
from blue_green.system.users import User

LOCAL_TIMEOUT = 300.0
"""Seconds for commands that stay on this machine; a large work tree takes a while."""

MOST_OUTPUT = 64 * 1024 * 1024
"""Bytes of what git writes: the names of all files of a large repository are some ten million."""

LONGEST_SUBJECT = 4096
"""Bytes of a subject that are read."""

SUBJECT_TIMEOUT = 5.0
"""Seconds for what is only nice to know."""

SAFELY = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "protocol.ext.allow": "never",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "advice.detachedHead": "false",
    "fetch.recurseSubmodules": "false",
    "submodule.recurse": "false",
}
"""Settings that keep a repository from running anything, now or in the background."""

REACHING_OUT = ("fetch", "ls-remote", "submodule", "reset")
"""Commands that may ask a remote; those that check files out do it for git-lfs."""

READABLE = {
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "core.quotePath",
    "GIT_CONFIG_VALUE_0": "false",
}
"""Variables with which names that are not ASCII are not quoted."""


def trusting(work_tree: Path, env: Mapping[str, str]) -> dict[str, str]:
    """Variables with which a program's git works in a work tree whose repository is another's.

    git refuses that as "dubious ownership" unless `safe.directory` names the work tree, and takes
    that only from where no repository can write: here, from its environment (git-config(1),
    GIT_CONFIG_COUNT). What `env` gives in this way already is kept. Those of submodules, inside
    of it, are named by the `/*` that git knows from 2.46 on.
    """
    given = env.get("GIT_CONFIG_COUNT", "")
    first = int(given) if given.isdecimal() else 0
    variables = {"GIT_CONFIG_COUNT": str(first + 2)}
    for number, trusted in enumerate((str(work_tree), f"{work_tree}/*"), first):
        variables[f"GIT_CONFIG_KEY_{number}"] = "safe.directory"
        variables[f"GIT_CONFIG_VALUE_{number}"] = trusted
    return variables


class GitError(Exception):
    """git said no; str() is what it said, or how it ended if it said nothing."""


class NoAnswer(GitError):
    """git ended with an exit status other than 0 and without a word, which may mean just "no"."""


class BadRevision(GitError):
    """What the revision itself holds cannot be checked out, now or later."""


@frozen
class GitPaths:
    """Where a checkout keeps what moves with HEAD. They differ in a linked work tree."""

    git_dir: Path
    common_dir: Path


@frozen
class RemoteBranch:
    """What a branch follows: a remote, and what is refs/heads/main there, say."""

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
    """The repository, where it is not the checkout's own."""

    async def places(self) -> GitPaths:
        """Raises `GitError` also when part of it belongs to somebody else than its owner."""
        out = await self.run("rev-parse", "--absolute-git-dir", "--git-common-dir")
        git_dir, common_dir = out.splitlines()
        places = GitPaths(Path(git_dir), self.checkout / common_dir)
        for place in (self.checkout, places.git_dir, places.common_dir):
            if os.geteuid() == 0 and place.stat().st_uid != self.owner.uid:
                owner = self.owner.name
                raise GitError(
                    f"{place} does not belong to {owner}, whom git runs as, but to somebody who "
                    f"could run anything as {owner}: chown -R {owner} {place}"
                )
        return places

    async def head(self) -> str:
        """The revision that is checked out."""
        return await self.resolve("HEAD")

    async def resolve(self, name: str) -> str:
        """The revision that a branch, a tag or an abbreviated id stands for."""
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
        """The first line of the commit's message, as text that can be printed."""
        _check(revision)
        # Unless told, `git log` may run the programs that check signatures.
        words = ("log", "--no-show-signature", "-1", "--format=%s", revision)
        done = await self._run(*words, timeout=SUBJECT_TIMEOUT, max_output=LONGEST_SUBJECT)
        return printable_line(done.stdout.strip().encode(errors="surrogateescape"))

    async def add_worktree(self, path: Path, revision: str, *, is_empty: bool = False) -> None:
        """Check this revision out there, on no branch; if `is_empty`, without any file yet."""
        _check(revision)
        how = ("--force", "--force", "--detach", *(["--no-checkout"] if is_empty else []))
        await self.run("worktree", "add", *how, str(path), revision)

    async def forget_worktrees(self, directory: Path) -> None:
        """Forget the work trees in this directory that are gone, and those inside of them.

        Only there: one of somebody's own may be on a disk that is not mounted now. And only with
        the whole of what is in the directory itself: git deletes what it finds, and in a release
        that is there somebody else may put what they like in its place.
        """
        inside = directory.resolve()
        for line in (await self.run("worktree", "list", "--porcelain")).splitlines():
            path = Path(line.removeprefix("worktree "))
            if not line.startswith("worktree ") or inside not in path.parents:
                continue
            if not os.path.lexists(inside / path.relative_to(inside).parts[0]):
                await self.run("worktree", "remove", "--force", "--force", str(path))

    async def has(self, revision: str) -> bool:
        """Whether this commit is here."""
        _check(revision)
        try:
            await self.run("cat-file", "-e", f"{revision}^{{commit}}")
        except GitError:
            return False
        return True

    async def fetch_commit(self, revision: str, url: str) -> None:
        """Fetch this commit from a url that somebody else chose; raise `GitError`.

        With all branches and tags as they are there now, moved, deleted or renamed; and if it is
        on none of them, by its name, which not every server allows. Only by transports that git
        takes to be safe for such a url, which are https, http, ssh and git if the owner says
        nothing else (`protocol.allow`, git-config(1)).
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
        """Where the branch that is checked out is pulled from, or else the checkout itself."""
        try:
            branch = await self.run("symbolic-ref", "--quiet", "--short", "HEAD")
        except GitError:
            branch = ""  # Detached.
        remote = await self.config(f"branch.{branch}.remote") if branch else ""
        return await self.config(f"remote.{remote or 'origin'}.url") or str(self.checkout)

    async def pull(self, branch: str | None) -> str:
        """Fetch the upstream of the branch and fast-forward to it; the revision then checked out.

        Raises `GitError` with what to do when that is not possible.
        """
        followed = await self.upstream(branch)
        current, where = followed.branch, (followed.remote, followed.source)
        # Without force, a tag that was moved there is an error if the remote's tagOpt fetches it.
        await self.run("fetch", "--quiet", "--force", *where, timeout=self.fetch_timeout)
        tracked = await self.run("for-each-ref", "--format=%(upstream)", f"refs/heads/{current}")
        upstream = await self.resolve(tracked)
        current_head = await self.head()
        if await self._is_ancestor(upstream, current_head):
            return current_head
        if not await self._is_ancestor(current_head, upstream):
            raise GitError(
                f"{current} and its upstream have diverged: "
                f"git rebase, or git reset --hard {upstream[:12]} to take theirs"
            )
        await self.check_directories(current_head, upstream)
        await self.run("merge", "--quiet", "--ff-only", upstream)
        return upstream

    async def upstream(self, branch: str | None) -> RemoteBranch:
        """What the branch that is checked out follows; raise `GitError` with what to do.

        `branch` is the one that should be.
        """
        try:
            full = await self.run("symbolic-ref", "--quiet", "HEAD")
        except NoAnswer:
            why = "HEAD is detached: check out a branch, so that it can be followed"
            raise GitError(why) from None
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
        """Ask the remote for the branch, and fetch nothing; raise `GitError` if that fails."""
        where = (upstream.remote, upstream.source)
        try:
            await self.run("ls-remote", "--exit-code", *where, timeout=self.fetch_timeout)
        except NoAnswer:
            raise GitError("{} has no {}".format(*where)) from None

    async def is_top(self) -> bool:
        """Whether the checkout is a whole work tree, and not a directory inside of one."""
        return not await self.run("rev-parse", "--show-prefix")

    async def names(self, revision: str) -> frozenset[str]:
        """The paths of all files and directories of a revision.

        Those with control characters, quotes or backslashes are quoted as in C.
        """
        _check(revision)
        listed = await self.run("ls-tree", "-r", "-t", "--name-only", revision, env=READABLE)
        return frozenset(listed.splitlines())

    async def changed(self) -> int:
        """How many tracked files differ from what is committed."""
        return len((await self.run("status", "--porcelain", "--untracked-files=no")).splitlines())

    async def _is_ancestor(self, older: str, newer: str) -> bool:
        try:
            await self.run("merge-base", "--is-ancestor", older, newer)
        except NoAnswer:
            return False
        return True

    async def is_contained(self, revision: str, others: Iterable[str]) -> bool:
        """Whether it is one of these, or an ancestor of one. Unknown ones do not count."""
        excluded = [f"^{other}" for other in others if REVISION.fullmatch(other)]
        _check(revision)
        words = ("rev-list", "--ignore-missing", "--max-count=1", revision, *excluded, "--")
        return not await self.run(*words)

    async def config(self, key: str) -> str:
        """The value of a setting; nothing if there is none."""
        try:
            return await self.run("config", "--get", key)
        except GitError:
            return ""

    async def run(
        self, *words: str, timeout: float = LOCAL_TIMEOUT, env: Mapping[str, str] | None = None
    ) -> str:
        """What git wrote; raise `GitError` with what it complained about."""
        done = await self._run(*words, timeout=timeout, env=env, max_output=MOST_OUTPUT)
        if done.wrote_too_much:
            raise GitError(f"git {words[0]} wrote more than {MOST_OUTPUT} bytes")
        return done.stdout.strip()

    async def _run(
        self,
        *words: str,
        timeout: float = LOCAL_TIMEOUT,
        env: Mapping[str, str] | None = None,
        max_output: int,
    ) -> command.Finished:
        """The command that has run; raise `GitError` if it failed, but not if it wrote too much."""
        safely = [word for pair in SAFELY.items() for word in ("-c", "=".join(pair))]
        argv = ["git", "-c", f"safe.directory={self.checkout}", *safely]
        if self.git_dir is not None:
            argv += ["--git-dir", str(self.git_dir), "--work-tree", str(self.checkout)]
        try:
            await trio.to_thread.run_sync(self._check_place, abandon_on_cancel=True)
        except (head.UnfitHead, root.Unsafe) as error:
            raise GitError(str(error)) from None
        env = {**self.env, **(env or {})}
        if words[0] in REACHING_OUT or words[:2] == ("worktree", "add"):
            env |= await self._without_asking()
        try:
            done = await command.run(
                [*argv, *words],
                cwd=self.checkout,
                env={**env, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"},
                user=self.owner,
                timeout=timeout,
                max_output=max_output,
            )
        except CannotStart as error:
            is_gone = not self.checkout.is_dir()
            why = f"there is no directory {self.checkout}" if is_gone else str(error)
            raise GitError(why) from None
        if done.timed_out:
            raise GitError(f"git {words[0]} {git_errors.took_too_long(words[0], timeout)}")
        if not done.ok and not done.wrote_too_much:
            if said := git_errors.in_one_line(done.tail):
                raise GitError(f"git {words[0]}: {said}")
            why = f"git {words[0]} {ending(done.code)}, and said nothing"
            raise NoAnswer(why) if (done.code or 0) > 0 else GitError(why)
        return done

    def _check_place(self) -> None:
        """Whether git may be run here, and as whom; raise `UnfitHead` or `Unsafe`."""
        head.check(self.git_dir or self.checkout / ".git")
        if root.is_us() and self.owner.uid == 0:
            root.check_repository(self.checkout, self.git_dir)

    async def check_directories(self, *revisions: str) -> None:
        """As root, raise `GitError` if others can write to directories that git will write to."""
        if not root.is_us() or self.owner.uid != 0:
            return
        for revision in revisions:
            listed = await self.run("ls-tree", "-r", "-d", "-z", "--name-only", revision)
            names = (name for name in listed.split("\0") if name)
            try:
                await trio.to_thread.run_sync(root.check_directories, self.checkout, names)
            except root.Unsafe as error:
                raise GitError(str(error)) from None

    async def _without_asking(self) -> dict[str, str]:
        """ssh that fails instead of asking for a password, or whether to trust a host."""
        # git gives it to a shell, and so it must stay as it is: "~" and quotes mean something.
        ssh = os.environ.get("GIT_SSH_COMMAND") or await self.config("core.sshCommand") or "ssh"
        return {
            "GIT_SSH_COMMAND": f"{ssh} -o BatchMode=yes",
            "GIT_ASKPASS": "true",
            "SSH_ASKPASS": "true",
        }


def _check(revision: str) -> None:
    if not REVISION.fullmatch(revision):
        raise GitError(f'"{revision}" is not a revision')
