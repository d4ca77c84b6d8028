"""Open files of a release, so that no path and no link leads out of what is served."""

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

from blue_green.source.release import Release
from blue_green.system.beneath import DIRECTORY, FLAGS, open_beneath

Names = tuple[bytes, ...]

NO_FILE = frozenset(
    (
        errno.ENOENT,
        errno.ENOTDIR,
        errno.ENAMETOOLONG,
        errno.ELOOP,
        errno.EXDEV,  # A link, or a mount point, leads out of the directory (openat2(2)).
        errno.EACCES,
        errno.EPERM,
        errno.ENXIO,  # A socket, or a device without a driver.
        errno.ENODEV,
        errno.EINVAL,
        errno.EILSEQ,  # A name that the file system cannot have.
    )
)
"""What opening a file fails with if there is none to be served. Others are failures."""


class Anchor:
    """A directory that stays open as long as somebody refers to it, to look at files below it."""

    def __init__(self, top: Path) -> None:
        """Raises `OSError`."""
        self.descriptor = -1
        self.descriptor = os.open(top, DIRECTORY)

    def __del__(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)


@frozen
class FileBase:
    """A directory that is served, or a file if a path of `link` is one."""

    top: Path
    """Is opened wherever it leads."""
    directory: Names = ()
    """Below `top`, and links on the way must not lead out of it."""
    is_linked: bool = False
    """It is in the checkout, where files change without a new release."""

    def open(self, names: Names) -> int | None:
        """A descriptor of the regular file or the directory below; None if there is none."""
        try:
            descriptor = self._open(names)
        except OSError as error:
            if error.errno in NO_FILE:
                return None
            raise
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
            return descriptor
        os.close(descriptor)
        return None

    def names(self, names: Names) -> Sequence[bytes]:
        """The names in a directory below; none if there is no such directory."""
        descriptor = self.open(names)
        if descriptor is None:
            return ()
        try:
            return [os.fsencode(name) for name in os.listdir(descriptor)]  # noqa: PTH208
        except NotADirectoryError:
            return ()
        finally:
            os.close(descriptor)

    def _open(self, names: Names) -> int:
        if not self.directory and not names:
            return os.open(self.top, FLAGS)
        top = os.open(self.top, DIRECTORY)
        try:
            if not self.directory or not names:
                return open_beneath(top, self.directory or names)
            base = open_beneath(top, self.directory, DIRECTORY)
        finally:
            os.close(top)
        try:
            return open_beneath(base, names)
        finally:
            os.close(base)


@frozen
class LinkedPaths:
    """The paths of `link`: where a release may lead out of itself."""

    checkout: Path
    links: frozenset[Names]

    def base(self, release: Release, directory: Names, rest: Names) -> tuple[FileBase, Names]:
        """The base of a path of a release, and the names below it.

        If the whole release is served, this does not include what its links lead to: who wrote that
        hardly thought of the database.
        """
        whole = directory + rest
        for count in range(len(whole) if self.links and directory else 0, 0, -1):
            if whole[:count] in self.links and (target := self._target(release, whole[:count])):
                return FileBase(target, is_linked=True), whole[count:]
        return FileBase(release.path, directory), rest

    def _target(self, release: Release, link: Names) -> Path | None:
        """Where the link of a release leads, if it is the one that we made."""
        name = os.fsdecode(b"/".join(link))
        target = self.checkout / name
        try:
            is_ours = (release.path / name).readlink() == target
        except OSError:
            return None
        return target if is_ours else None


def linked_paths(checkout: Path, links: tuple[str, ...]) -> LinkedPaths:
    """The paths of the setting `link`."""
    names = (tuple(os.fsencode(link).strip(b"/").split(b"/")) for link in links)
    return LinkedPaths(checkout, frozenset(names))
