"""Open a path below a directory, which no `..` and no symbolic link leads out of (openat2(2)).

Before Linux 5.6, or where a sandbox refuses that call, no symbolic link is followed at all.
"""

import ctypes
import errno
import os

_libc = ctypes.CDLL(None, use_errno=True)
_SYS_OPENAT2 = 437
_RESOLVE_NO_XDEV, _RESOLVE_NO_MAGICLINKS, _RESOLVE_BENEATH, _RESOLVE_CACHED = 1, 2, 8, 32
_UNAVAILABLE = (errno.ENOSYS, errno.EPERM)
"""EPERM is what sandboxes answer that do not know the call."""
_ATTEMPTS = 5
"""The kernel gives up if something is renamed meanwhile (EAGAIN)."""
FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
"""Neither waits for the writer of a FIFO nor acquires a terminal."""

DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
"""To open something in a directory that may not be readable itself."""


class _OpenHow(ctypes.Structure):
    """`struct open_how`."""

    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


def open_beneath(directory: int, segments: tuple[bytes, ...], flags: int = FLAGS) -> int:
    """A descriptor of what is at this path below the directory; raise `OSError`.

    The segments are names: neither empty nor with a slash. Without any, it is the directory.
    """
    path = b"/".join(segments) or b"."
    for _ in range(_ATTEMPTS):
        descriptor, code = _openat2(directory, path, flags, 0)
        if descriptor >= 0:
            return descriptor
        if code in _UNAVAILABLE:
            return open_stepwise(directory, segments, flags)
        if code not in (errno.EAGAIN, errno.EINTR):
            break
    raise OSError(code, os.strerror(code), os.fsdecode(path))


def stat_cached(directory: int, segments: tuple[bytes, ...]) -> os.stat_result | None:
    """The status of a file below the directory, if the kernel knows it without waiting.

    For the event loop: this waits for no disk, and does not leave the file system of the directory.
    None also if there is no such file, and before Linux 5.12.
    """
    path = b"/".join(segments)
    restricted = _RESOLVE_CACHED | _RESOLVE_NO_XDEV
    descriptor, _ = _openat2(directory, path, os.O_PATH | os.O_CLOEXEC, restricted)
    if descriptor < 0:
        return None
    try:
        return os.fstat(descriptor)
    finally:
        os.close(descriptor)


def _openat2(directory: int, path: bytes, flags: int, restricted: int) -> tuple[int, int]:
    """A descriptor, or -1 and the error number."""
    how = _OpenHow(flags, 0, _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS | restricted)
    descriptor: int = _libc.syscall(
        ctypes.c_long(_SYS_OPENAT2),
        ctypes.c_int(directory),
        ctypes.c_char_p(path),
        ctypes.byref(how),
        ctypes.c_size_t(ctypes.sizeof(how)),
    )
    return descriptor, ctypes.get_errno() if descriptor < 0 else 0


def open_stepwise(directory: int, segments: tuple[bytes, ...], flags: int = FLAGS) -> int:
    """As `open_beneath`, one name after the other, without following any link."""
    if any(name in (b"", b".", b"..") or b"/" in name for name in segments):
        raise ValueError("a segment is not a name")
    if not segments:
        return os.open(b".", flags, dir_fd=directory)
    current = os.dup(directory)
    for number, name in enumerate(segments):
        is_last = number == len(segments) - 1
        how = flags if is_last else DIRECTORY
        try:
            following = os.open(name, how | os.O_NOFOLLOW, dir_fd=current)
        finally:
            os.close(current)
        current = following
    return current
