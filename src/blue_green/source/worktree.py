"""A work tree of a revision, also where git-crypt keeps part of it encrypted.

git-crypt looks for its keys in the git directory of each work tree (get_internal_state_path in its
commands.cpp), but `git-crypt unlock` has put them into that of the checkout. So the work tree is
made without files, given a link to the keys, and only then checked out.
"""

from pathlib import Path

from attrs import evolve

from blue_green.source.git import Git, GitError
from blue_green.system import command
from blue_green.system.process import CannotStart

KEYS = "git-crypt"
LINK_TIMEOUT = 60.0


async def add(git: Git, path: Path, revision: str) -> None:
    """Check this revision out there, on no branch; raise `GitError`."""
    keys = (git.git_dir or (await git.places()).common_dir) / KEYS
    if not keys.is_dir():
        await git.add_worktree(path, revision)
        return
    await git.add_worktree(path, revision, is_empty=True)
    there = evolve(git, checkout=path, git_dir=None)
    own = Path(await there.run("rev-parse", "--absolute-git-dir"))
    await _link(git, keys.resolve(), own / KEYS)
    await there.run("reset", "--quiet", "--hard")


async def _link(git: Git, keys: Path, link: Path) -> None:
    argv = ["ln", "-s", "-n", "-f", "--", str(keys), str(link)]
    try:
        done = await command.run(
            argv, cwd=git.checkout, env=git.env, user=git.owner, timeout=LINK_TIMEOUT
        )
    except CannotStart as error:
        raise GitError(str(error)) from None
    if not done.ok:
        raise GitError(f"the keys of git-crypt cannot be linked: {done}: {'; '.join(done.tail)}")
