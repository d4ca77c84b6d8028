"""Files in git-lfs: a release must have their content, not the pointers to it.

git fetches the content with the filter that `git lfs install` adds to the configuration of the
checkout's owner. It runs when a release is checked out, as the owner, as in every `git checkout`: a
user who can only push cannot change it. We do not run git-lfs in any other way. If the filter is
missing, git reports nothing, and an app would serve pointers instead of pictures: check that here.
"""

import logging
import stat
from collections.abc import Sequence
from pathlib import Path

from attrs import evolve

from blue_green.source import quoted_names
from blue_green.source.git import Git
from blue_green.source.git_errors import GitError
from blue_green.system import files, threads

logger = logging.getLogger(__name__)

POINTER = b"version https://git-lfs.github.com/spec/v1\n"
"""The beginning of a pointer: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md"""
LARGEST_POINTER = 1024


async def check(git: Git, work_tree: Path) -> None:
    """Raise `GitError` if a work tree has pointers instead of content.

    Checks files that `.gitattributes` assigns to git-lfs, if they are as small as a pointer.
    Pointers are allowed if the owner excludes files from fetching (`lfs.fetchexclude`).
    """
    there = evolve(git, checkout=work_tree, git_dir=None)
    listed = await there.run("ls-files", "--", ":(attr:filter=lfs)")
    names = quoted_names.lines(listed)
    pointers = await threads.run(_pointers, work_tree, names)
    if not pointers:
        return
    more = len(pointers) - 1
    are = f"and {more} more files are LFS pointers" if more else "is an LFS pointer"
    what = f"{work_tree / pointers[0]} {are}, not the content"
    if await there.config("lfs.fetchexclude") or await there.config("lfs.fetchinclude"):
        logger.info("%s, as configured for git-lfs", what)
        return
    raise GitError(
        f"{what}: install git-lfs, and run `git lfs install` as {git.owner.name}, "
        "so that git fetches it; then swap with --retry"
    )


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
