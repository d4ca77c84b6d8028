"""Listen on a Unix socket, without replacing or deleting one that another program uses."""

import errno
import os
import socket
import stat
from contextlib import suppress
from pathlib import Path

LONGEST_PATH = 107
"""The longest path of a Unix socket, in bytes (unix(7))."""


def listen(path: Path, *, mode: int, backlog: int) -> socket.socket:
    """Listen at this path; replace a socket on which no program listens any more.

    Raises `OSError` that says what is in the way.
    """
    if len(os.fsencode(path)) > LONGEST_PATH:
        why = f"the path is longer than {LONGEST_PATH} bytes; choose a shorter one"
        raise OSError(errno.ENAMETOOLONG, why)
    _make_way(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o777 & ~mode)  # So that others cannot connect at any moment.
    try:
        sock.bind(str(path))
        sock.listen(backlog)
    except OSError:
        sock.close()
        raise
    finally:
        os.umask(before)
    return sock


def remove(path: Path, inode: int) -> None:
    """Delete the socket at this path, unless another one has replaced it."""
    with suppress(FileNotFoundError):
        if path.lstat().st_ino == inode:
            path.unlink()


def is_open_to_all(path: str) -> bool:
    """Whether every user of this machine may connect to this socket.

    An abstract one, whose name begins with `@`, has no permissions.
    """
    if path.startswith("@"):
        return True
    try:
        real = Path(path).resolve(strict=True)
        may_pass = all(parent.stat().st_mode & stat.S_IXOTH for parent in real.parents)
        return may_pass and bool(real.stat().st_mode & stat.S_IWOTH)
    except OSError:
        return False  # It is gone, or we may not look.


def _make_way(path: Path) -> None:
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise OSError(errno.EEXIST, "there is a file that is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
        except FileNotFoundError:
            return
        else:
            raise OSError(errno.EADDRINUSE, "another program already listens there")
