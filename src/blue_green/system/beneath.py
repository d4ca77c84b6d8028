"""Open a path below a directory, which no `..` and no symbolic link leads out of (openat2(2)).

Before Linux 5.6, or where a sandbox refuses that call, no symbolic link is followed at all.
"""

import ctypes
import errno
import os

_libc = ctypes.CDLL(None, use_errno=True)
_SYS_OPENAT2 = 437
_RESOLVE_NO_MAGICLINKS, _RESOLVE_BENEATH = 0x02, 0x08
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
    how = _OpenHow(flags, 0, _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS)
    for _ in range(_ATTEMPTS):
        descriptor: int = _libc.syscall(
            ctypes.c_long(_SYS_OPENAT2),
            ctypes.c_int(directory),
            ctypes.c_char_p(path),
            ctypes.byref(how),
            ctypes.c_size_t(ctypes.sizeof(how)),
        )
        if descriptor >= 0:
            return descriptor
        code = ctypes.get_errno()
        if code in _UNAVAILABLE:
            return open_stepwise(directory, segments, flags)
        if code not in (errno.EAGAIN, errno.EINTR):
            break
    raise OSError(code, os.strerror(code), os.fsdecode(path))


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
