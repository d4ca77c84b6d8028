"""Make a checkout what its upstream has, without losing a file that git does not track.

`git reset --hard` silently replaces untracked and ignored files that the new revision tracks. They
may be data, so the checkout is compared first.
"""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from blue_green.source import quoted_names
from blue_green.source.git_errors import GitError
from blue_green.system import threads
from blue_green.system.printable import counted, first_few

if TYPE_CHECKING:
    from blue_green.source.git import Git

logger = logging.getLogger(__name__)

UNFINISHED = {
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
    "BISECT_LOG": "bisect",
}
"""Entries of the git directory while somebody works in the checkout."""
SUBMODULE = "160000"
"""The mode of a submodule in a tree."""


async def to(git: "Git", branch: str, upstream: str) -> None:
    """Reset the current branch, the index and all tracked files; raise `GitError` if impossible.

    Logs what is left behind.
    """
    await _check_finished(git)
    head = await git.head()
    if found := await in_the_way(git, upstream):
        raise GitError(
            f"{branch} cannot be reset to {upstream[:12]}, which has files that are not tracked "
            f"here and would be overwritten: {first_few(found)}. Move them away"
        )
    await git.check_directories(head, upstream)
    changed = await git.changed()
    left = int(await git.run("rev-list", "--count", head, f"^{upstream}", "--"))
    await git.run("reset", "--quiet", "--hard", upstream)
    if left:
        logger.warning(
            "%s was reset from %s to %s, leaving %s behind: to keep them, git branch rescued %s",
            branch, head[:7], upstream[:7], counted(left, "commit"), head[:12],
        )  # fmt: skip
    if changed:
        logger.warning("changes of %s were lost with that", counted(changed, "tracked file"))


async def _check_finished(git: "Git") -> None:
    git_dir = (await git.paths()).git_dir
    if what := await threads.run(_unfinished, git_dir, abandon_on_cancel=True):
        raise GitError(f"a {what} is not finished in the checkout: git status says how to end it")


def _unfinished(git_dir: Path) -> str | None:
    """What somebody does in the checkout at the moment."""
    return next((UNFINISHED[entry] for entry in UNFINISHED if (git_dir / entry).exists()), None)


async def in_the_way(git: "Git", revision: str) -> Sequence[str]:
    """Files here that git does not track, and that the revision would replace."""
    theirs = _by_mode(await git.run("ls-tree", "-r", "--full-tree", revision))
    ours = _by_mode(await git.run("ls-files", "--stage"))
    others = quoted_names.lines(await git.run("ls-files", "--others"))
    # A submodule may have untracked files of its own.
    replaced = ours.keys() - {name for name in theirs if theirs[name] == SUBMODULE}
    submodules = {name for name in replaced if ours[name] == SUBMODULE}
    directories = {parent for name in theirs for parent in _parents(name)}
    taken = theirs.keys() | directories
    found = {name for name in submodules if name in taken}
    for name in others:
        path = name.rstrip("/")  # It ends in one if it is a repository.
        if path in taken or any(parent in theirs for parent in _parents(path)):
            found.add(name)
    return sorted(found)


def _by_mode(listed: str) -> dict[str, str]:
    """The name and mode of each line of `ls-tree` or `ls-files --stage`."""
    entries = (line.split("\t", 1) for line in listed.split("\n") if line)
    return {quoted_names.unquoted(name): about.split(" ")[0] for about, name in entries}


def _parents(name: str) -> Iterable[str]:
    return (str(parent) for parent in PurePosixPath(name).parents if parent.name)
