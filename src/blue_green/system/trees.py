"""Delete directory trees while another user may be changing them.

We may be root, and the app's user can replace any directory of its release with a symbolic link at
any moment, and can move directories into it. So nothing here works on paths:

- Each directory is opened relative to its parent and never through a link; operations in it use its
  descriptor (openat(2)).
- Root empties a directory only if the user who could have put it there owns it, or if only root
  could have. So nothing is deleted that the owner of the tree could not have deleted.

Trees may be large: the work is done in a thread, and ends when it is cancelled.
"""

import errno
import os
import secrets
import stat
import time
from collections import deque
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

import trio
from attrs import frozen

from blue_green.system import threads

TIMEOUT = 300.0
"""Seconds after which a tree that grows as fast as it is deleted is left."""
BATCH = 10_000
"""Names of a directory that are read at once."""
LONGEST_PATH = 4096
"""Characters of a path, for messages."""
LEFTOVER = ".removing-"
"""The prefix of the directory, the bin, that holds what is not deleted, or not yet."""

KEPT = ".not-removed-"
"""The prefix of a directory in the bin that root refused to delete. It is refused again later: in
the bin, where only root could have put it, nothing else shows that it may belong elsewhere."""

REFUSED = "root refused to delete it before, since it may belong elsewhere: rm -r it yourself"
REPLACED = "another user has replaced root's own directory: it is left as it is"
CROSSED = "it belongs to user {}, and the directory that contains it to user {}: rm -r it yourself"


class TreeError(OSError):
    """Something in a tree cannot be changed; str() says what, and why."""

    def __str__(self) -> str:
        return f"{self.filename}: {self.strerror}"


async def remove(path: Path, *, owners: Collection[int] = ()) -> None:
    """Delete a tree or a file; raise `TreeError` for what cannot be deleted.

    The name is free at once. What cannot be deleted stays in the same directory under a name with
    `LEFTOVER`, to be deleted later. The path of that directory is trusted; the tree must belong to
    the owner of the directory, or to one of these `owners`.
    """
    await threads.run(_remove, path, owners)


# --- removed --------------------------------------------------------------------------------


def _remove(path: Path, owners: Collection[int]) -> None:
    aside = LEFTOVER + secrets.token_hex(8)
    with opened(str(path.parent)) as parent:
        os.mkdir(aside, 0o700, dir_fd=parent)
        try:
            with opened(aside, parent) as bin_:
                if os.geteuid() == 0 and not _is_roots_alone(os.fstat(bin_)):
                    raise TreeError(errno.EPERM, REPLACED, str(path))
                removal = _Removal(bin_)
                removal.take(path.name, parent, os.fstat(parent), str(path), owners)
                removal.run()
        finally:
            with suppress(OSError):  # It may contain what could not be deleted, which was reported.
                os.rmdir(aside, dir_fd=parent)


@frozen
class _Found:
    """A directory that was moved into the bin."""

    name: str
    """Its path in the bin."""
    path: str
    """Its original path."""


class _Removal:
    """Empties the bin, a directory of ours that no other user can write.

    Each directory is moved there before it is emptied, so that none has to stay open for those
    inside of it, however deep they are. A mounted file system cannot be moved, and stays.
    """

    def __init__(self, bin_: int) -> None:
        self._bin = bin_
        self._waiting: deque[_Found] = deque()
        self._moved = 0
        self._failure: TreeError | None = None
        self._until = time.monotonic() + TIMEOUT

    def run(self) -> None:
        """Delete everything in the bin; raise `TreeError`."""
        while self._waiting:
            found = self._waiting.popleft()
            try:
                with opened(found.name, self._bin) as directory:
                    self._empty(directory, os.fstat(directory), found.path)
                os.rmdir(found.name, dir_fd=self._bin)
            except OSError as error:
                self._failed(error, found.path)
        if self._failure:
            raise self._failure

    def take(
        self,
        name: str,
        above: int,
        status: os.stat_result,
        path: str,
        owners: Collection[int] = (),
    ) -> bool:
        """Delete a file, or move a directory into the bin; whether that was possible.

        `above` is the directory that contains it, with this status.
        """
        if name.startswith(KEPT) and os.geteuid() == 0 and _is_roots_alone(status):
            self._failed(OSError(errno.EPERM, REFUSED), path)
            return False
        try:
            try:
                os.unlink(name, dir_fd=above)
            except IsADirectoryError:
                if os.geteuid() != 0:
                    _make_usable(name, above)  # Only a writable directory can be moved.
                moved = str(self._moved)
                os.rename(name, moved, src_dir_fd=above, dst_dir_fd=self._bin)
                self._moved += 1
                self._check_is_theirs(moved, status, owners)
                self._waiting.append(_Found(moved, path))
        except FileNotFoundError:
            return False
        except OSError as error:
            self._failed(error, path)
            return False
        return True

    def _check_is_theirs(self, moved: str, above: os.stat_result, owners: Collection[int]) -> None:
        """Rename a directory in the bin if root must not empty it; raise `OSError`.

        At once, so that if we are killed, root may empty all others that are left in the bin.
        """
        status = os.stat(moved, dir_fd=self._bin, follow_symlinks=False)
        if crossing := _crossing(status, above, owners):
            kept = KEPT + secrets.token_hex(8)
            os.rename(moved, kept, src_dir_fd=self._bin, dst_dir_fd=self._bin)
            raise OSError(errno.EPERM, crossing)

    def _empty(self, directory: int, status: os.stat_result, path: str) -> None:
        if os.geteuid() == 0 and status.st_mode & stat.S_ISVTX:
            os.fchown(directory, 0, 0)  # Otherwise deleting there takes CAP_FOWNER.
        while True:
            trio.from_thread.check_cancelled()
            if time.monotonic() > self._until:
                raise OSError(errno.ETIMEDOUT, f"it was not deleted within {TIMEOUT:g} s")
            with os.scandir(directory) as entries:
                names = [entry.name for entry in islice(entries, BATCH)]
            taken = [self.take(name, directory, status, _inside(path, name)) for name in names]
            if not any(taken):
                return

    def _failed(self, error: OSError, path: str) -> None:
        is_consequence = error.errno == errno.ENOTEMPTY and self._failure is not None
        if not is_consequence:
            self._failure = self._failure or TreeError(error.errno, error.strerror, path)


def _inside(path: str, name: str) -> str:
    """The path of an entry; if it would be too long, the path of its directory."""
    return f"{path}/{name}" if len(path) < LONGEST_PATH else path


def _crossing(status: os.stat_result, above: os.stat_result, owners: Collection[int]) -> str:
    """Why root must not empty a directory that a user may have moved here; "" if it may."""
    if os.geteuid() != 0 or status.st_uid in (above.st_uid, *owners):
        return ""
    if _is_roots_alone(above) or _is_roots_alone(status):
        return ""
    return CROSSED.format(status.st_uid, above.st_uid)


def _is_roots_alone(status: os.stat_result) -> bool:
    """Whether only root can put entries into such a directory, or move it."""
    return status.st_uid == 0 and not status.st_mode & 0o022


# --- opened ---------------------------------------------------------------------------------


@contextmanager
def opened(name: str, above: int | None = None) -> Iterator[int]:
    """Open a directory; relative to `above`, not through a symbolic link."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    if above is not None:
        flags |= os.O_NOFOLLOW
        if os.geteuid() != 0:
            _make_usable(name, above)
    descriptor = os.open(name, flags, dir_fd=above)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _make_usable(name: str, above: int) -> None:
    """Make a directory of ours readable and writable for us."""
    flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(name, flags, dir_fd=above)
    try:
        status = os.fstat(handle)
        if status.st_uid == os.geteuid() and status.st_mode & stat.S_IRWXU != stat.S_IRWXU:
            Path(by_descriptor(handle)).chmod(stat.S_IRWXU)
    finally:
        os.close(handle)


def by_descriptor(handle: int) -> str:
    """A path for calls that do not accept a descriptor opened with O_PATH (open(2))."""
    return f"/proc/self/fd/{handle}"
