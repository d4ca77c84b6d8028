"""Read files that another user may have created, and write our own.

A name may refer to a FIFO, which blocks its reader; to a device, which may never end; or to a
symbolic link to a file that only we can read. So the type and the location of a file are checked
before it is read, on a descriptor that cannot read it (O_PATH, open(2)). The descriptor that reads
is opened through that one and not by name, which may refer to another file by then.

File systems can hang, too: call all of this in a thread.
"""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

Check = Callable[[os.stat_result], None]
"""Raises `UnfitFile` if a file that is open, and has this status, must not be read."""


class UnfitFile(OSError):
    """A file that is there but must not be read; `strerror` says why."""

    def __init__(self, why: str, path: Path) -> None:
        super().__init__(errno.EINVAL, why, str(path))


def read_bounded(
    path: Path, limit: int, *, inside: Path | None = None, check: Check | None = None
) -> bytes:
    """The content of a regular file of at most `limit` bytes.

    Raises `OSError`, such as `UnfitFile`. With `inside`, the file must be below that directory
    (given without symbolic links) once all symbolic links are resolved. `check` is called before
    it is read.
    """
    data = read_start(path, limit + 1, inside=inside, check=check)
    if len(data) > limit:
        raise UnfitFile(f"is larger than {limit} bytes", path)
    return data


def read_text(
    path: Path, limit: int, *, inside: Path | None = None, check: Check | None = None
) -> str:
    """As `read_bounded`, in UTF-8 and with `\\n` for `\\r\\n`; also raises `UnicodeDecodeError`."""
    return read_bounded(path, limit, inside=inside, check=check).decode().replace("\r\n", "\n")


def read_start(
    path: Path, count: int, *, inside: Path | None = None, check: Check | None = None
) -> bytes:
    """The first `count` bytes of a regular file, or all of it if it is shorter."""
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UnfitFile("is not a regular file", path)
        if inside is not None and not location(descriptor).is_relative_to(inside):
            raise UnfitFile(f"leads out of {inside}", path)
        if inside is not None and status.st_nlink > 1 and not status.st_mode & stat.S_IROTH:
            raise UnfitFile("has another hard link, and not all users may read it", path)
        if check is not None:
            check(status)
        with open(f"/proc/self/fd/{descriptor}", "rb") as file:  # noqa: PTH123 - it is no path
            return file.read(count)
    finally:
        os.close(descriptor)


def open_own(path: Path, flags: int) -> int:
    """Open or create a regular file of our own; raise `OSError`.

    A symbolic link, a FIFO or the like is not opened.
    """
    safely = os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags | safely, mode=0o600)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UnfitFile("is not a regular file", path)
    return descriptor


def replace(path: Path, data: bytes) -> None:
    """Replace the content of a file of our own atomically; raise `OSError`.

    If the disk is full or the power fails, the old content stays. Waits for the disk.
    """
    beside = path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)  # It may be anything, such as a symbolic link.
    try:
        with os.fdopen(open_own(beside, os.O_WRONLY | os.O_EXCL), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def is_readable_by_all(path: Path) -> bool:
    """Whether every user of this machine may read it."""
    try:
        return bool(path.stat().st_mode & 0o004)
    except OSError:
        return False  # It does not exist.


def location(descriptor: int) -> Path:
    """The path of an open file, without symbolic links (proc(5))."""
    return Path(os.readlink(f"/proc/self/fd/{descriptor}"))  # noqa: PTH115 - of a descriptor
