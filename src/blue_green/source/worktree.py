"""Add a work tree of a revision, with support for git-crypt.

git-crypt looks for its keys in the git directory of each work tree (get_internal_state_path in its
commands.cpp), but `git-crypt unlock` stores them in that of the checkout. So the work tree is added
without files, gets a link to the keys, and is checked out after that.
"""

from pathlib import Path

from attrs import evolve

from blue_green.source.git import Git
from blue_green.source.git_errors import GitError
from blue_green.system import command, threads
from blue_green.system.cannot_start import CannotStart

KEYS = "git-crypt"
LINK_TIMEOUT = 60.0


async def add(git: Git, path: Path, revision: str) -> None:
    """Add a work tree with a detached HEAD; raise `GitError`."""
    common_dir = git.git_dir or (await git.paths()).common_dir
    keys = await threads.run(_keys, common_dir / KEYS, abandon_on_cancel=True)
    if keys is None:
        await git.add_worktree(path, revision)
        return
    await git.add_worktree(path, revision, is_empty=True)
    there = evolve(git, checkout=path, git_dir=None)
    own = Path(await there.run("rev-parse", "--absolute-git-dir"))
    await _link(git, keys, own / KEYS)
    await there.run("reset", "--quiet", "--hard")


def _keys(path: Path) -> Path | None:
    """The directory of the keys, if there is one."""
    return path.resolve() if path.is_dir() else None


async def _link(git: Git, keys: Path, link: Path) -> None:
    argv = ["ln", "-s", "-n", "-f", "--", str(keys), str(link)]
    try:
        done = await command.run(
            argv, cwd=git.checkout, env=git.env, user=git.owner, timeout=LINK_TIMEOUT
        )
    except CannotStart as error:
        raise GitError(str(error)) from None
    if not done.ok:
        raise GitError(f"cannot link the keys of git-crypt: {done}: {'; '.join(done.tail)}")
