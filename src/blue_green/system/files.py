"""Read files that somebody else may have put there.

Opened by name, a file may turn out to be a FIFO, which keeps its reader waiting; a device, which
may never end; or a symbolic link to what only we can read. So the kind and the place of a file are
checked before it is read, on a descriptor that gives access to nothing else (O_PATH, open(2)). The
descriptor that reads is opened from that one, and not by name: the name may mean another file now.

A file system can hang, too: none of this belongs on the event loop.
"""

import errno
import os
import stat
from pathlib import Path


class UnfitFile(OSError):
    """A file that is there but must not be read; `strerror` says why."""

    def __init__(self, why: str, path: Path) -> None:
        super().__init__(errno.EINVAL, why, str(path))


def read_bounded(path: Path, limit: int, *, inside: Path | None = None) -> bytes:
    """What is in a regular file of at most `limit` bytes.

    Raises `OSError`, of which `UnfitFile` is one. With `inside`, the file has to be below that real
    directory after all symbolic links on the way to it.
    """
    data = read_start(path, limit + 1, inside=inside)
    if len(data) > limit:
        raise UnfitFile(f"is larger than {limit} bytes", path)
    return data


def read_text(path: Path, limit: int, *, inside: Path | None = None) -> str:
    """The same as text in UTF-8, with `\\n` for `\\r\\n`; also raises `UnicodeDecodeError`."""
    return read_bounded(path, limit, inside=inside).decode().replace("\r\n", "\n")


def read_start(path: Path, count: int, *, inside: Path | None = None) -> bytes:
    """The first `count` bytes of a regular file, or all of it if it has fewer."""
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UnfitFile("is not a regular file", path)
        if inside is not None and not location(descriptor).is_relative_to(inside):
            raise UnfitFile(f"leads out of {inside}", path)
        if inside is not None and status.st_nlink > 1 and not status.st_mode & stat.S_IROTH:
            raise UnfitFile(
                "has another name elsewhere (a hard link), and not all may read it", path
            )
        with open(f"/proc/self/fd/{descriptor}", "rb") as file:  # noqa: PTH123 - it is no path
            return file.read(count)
    finally:
        os.close(descriptor)


def open_own(path: Path, flags: int) -> int:
    """A descriptor of a regular file of our own, made if it is not there; raise `OSError`.

    One by that name that is a link, a FIFO or the like is not opened.
    """
    safely = os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags | safely, mode=0o600)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UnfitFile("is not a regular file", path)
    return descriptor


def replace(path: Path, data: bytes) -> None:
    """Have a file of our own hold this, and nothing else at any moment; raise `OSError`.

    Without room, or with a loss of power, what was there before stays. May take as long as the disk
    does.
    """
    beside = path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)  # Whatever it is, and wherever it leads.
    with os.fdopen(open_own(beside, os.O_WRONLY | os.O_EXCL), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
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
        return False  # It is not there, then.


def location(descriptor: int) -> Path:
    """Where an open file is, without symbolic links (proc(5))."""
    return Path(os.readlink(f"/proc/self/fd/{descriptor}"))  # noqa: PTH115 - of a descriptor
