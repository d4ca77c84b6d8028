"""Give directory trees to another user while that user may be changing them.

Like `trees`, this works on descriptors. Root gives away only what belongs to the given owner of the
tree, and no file with another hard link: it may be a file that the new user must not have.
"""

import errno
import os
from pathlib import Path

import trio

from blue_green.system import threads
from blue_green.system.trees import TreeError, by_descriptor, opened

MAX_DEPTH = 256
"""Nested directories: each takes a descriptor while a tree is given away."""

SHARED = "it has another hard link, and is not given to another user"
FOREIGN = "it belongs to user {}, not to {}, and is not given to another user"


async def give(path: Path, owner: int, uid: int, gid: int) -> None:
    """Give a tree of this owner to another user; raise `TreeError`. For root only."""
    await threads.run(_give, path, owner, uid, gid)


def _give(path: Path, owner: int, uid: int, gid: int) -> None:
    with opened(str(path.parent)) as parent:
        _give_directory(path.name, parent, path, (owner, uid, gid), 1)


def _give_directory(
    name: str, above: int, path: Path, whose: tuple[int, int, int], depth: int
) -> None:
    """Give away a directory: it is root's while its entries are given away, then the user's."""
    owner, uid, gid = whose
    trio.from_thread.check_cancelled()
    if depth > MAX_DEPTH:
        raise TreeError(errno.ELOOP, f"more than {MAX_DEPTH} directories deep", str(path))
    try:
        with opened(name, above) as directory:
            _check_owner(os.fstat(directory), owner)
            os.fchown(directory, 0, 0)
            with os.scandir(directory) as entries:
                found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
            for inner, is_directory in found:
                if is_directory:
                    _give_directory(inner, directory, path / inner, whose, depth + 1)
                else:
                    _give_file(inner, directory, path / inner, whose)
            os.fchown(directory, uid, gid)
    except TreeError:
        raise
    except OSError as error:
        raise TreeError(error.errno, error.strerror, str(path)) from None


def _give_file(name: str, above: int, path: Path, whose: tuple[int, int, int]) -> None:
    owner, uid, gid = whose
    try:
        handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
        try:
            status = os.fstat(handle)
            _check_owner(status, owner)
            if status.st_nlink > 1:
                raise OSError(errno.EMLINK, SHARED)
            # Exactly the file that was checked, even if the name refers to another one by now.
            os.chown(by_descriptor(handle), uid, gid)
        finally:
            os.close(handle)
    except OSError as error:
        raise TreeError(error.errno, error.strerror, str(path)) from None


def _check_owner(status: os.stat_result, owner: int) -> None:
    if status.st_uid != owner:
        raise OSError(errno.EPERM, FOREIGN.format(status.st_uid, owner))
