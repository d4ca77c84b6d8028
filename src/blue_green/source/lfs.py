"""Files that git-lfs keeps elsewhere: a release must have them, and not the pointers to them.

Whether git puts the files in their place is a matter of the filter that `git lfs install` enters in
the configuration of the checkout's owner. What stands there is run when a release is checked out,
as the owner, as in every `git checkout` of theirs: nobody who can only push has a say in it. In no
other way do we run git-lfs. But where the filter is missing, git says nothing, and an app would
serve pointers for pictures: so that is looked at here.
"""

import ast
import logging
import os
import stat
from collections.abc import Sequence
from pathlib import Path

import trio
from attrs import evolve

from blue_green.source.git import Git, GitError
from blue_green.system import files

logger = logging.getLogger(__name__)

POINTER = b"version https://git-lfs.github.com/spec/v1\n"
"""How one begins: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md"""
LARGEST_POINTER = 1024


async def check(git: Git, work_tree: Path) -> None:
    """Raise `GitError` if there are pointers in a work tree where there should be files.

    Only files that `.gitattributes` gives to git-lfs are looked at, and of these the small ones.
    Those that the owner does not want to be fetched (`lfs.fetchexclude`) may be pointers.
    """
    there = evolve(git, checkout=work_tree, git_dir=None)
    listed = await there.run("ls-files", "--", ":(attr:filter=lfs)")
    names = [_unquoted(line) for line in listed.splitlines()]
    pointers = await trio.to_thread.run_sync(_pointers, work_tree, names)
    if not pointers:
        return
    more = len(pointers) - 1
    are = f"and {more} more files are LFS pointers" if more else "is an LFS pointer"
    what = f"{work_tree / pointers[0]} {are}, not the content"
    if await there.config("lfs.fetchexclude") or await there.config("lfs.fetchinclude"):
        logger.info("%s, as the settings of git-lfs want it", what)
        return
    raise GitError(
        f"{what}: install git-lfs, and run `git lfs install` as {git.owner.name}, "
        "so that git fetches it; then swap with --retry"
    )


def _unquoted(name: str) -> str:
    """The name of a file that git has quoted as C does (core.quotePath in git-config(1))."""
    if not name.startswith('"'):
        return name
    return os.fsdecode(ast.literal_eval(f"b{name}"))


def _pointers(work_tree: Path, names: Sequence[str]) -> list[str]:
    return [name for name in names if _is_pointer(work_tree / name)]


def _is_pointer(path: Path) -> bool:
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST_POINTER:
            return False
        return files.read_start(path, len(POINTER)) == POINTER
    except FileNotFoundError:
        return False  # Not checked out, as in a sparse checkout.
