"""Open files with the permissions of another user, in a worker thread.

As root we can open everything, also what the user of an app cannot. Linux has credentials for each
thread, and those for the file system can be changed for a while (setfsuid(2)). So the kernel
itself decides, with groups, access control lists, and the rules of file systems over a network.
The functions of libc change all threads of a process where POSIX says so. For the groups that would
be so, hence the system call.
"""

import ctypes
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from blue_green.system.users import User

_libc = ctypes.CDLL(None, use_errno=True)
_SYS_SETGROUPS = {"x86_64": 116, "ppc64le": 81, "s390x": 206, "i686": 206, "armv7l": 206}.get(
    os.uname().machine, 159
)
"""The number of setgroups(2), with that of the generic table for all newer machines."""
_ANY = ctypes.c_uint32(0xFFFFFFFF)
"""No valid id: setfsuid(2) then only returns the one in force."""


@contextmanager
def permissions_of(user: User) -> Iterator[None]:
    """Access files as this user in the block, in this thread alone; raise `OSError`.

    Nothing changes without root. For threads of a pool: another thread must not see it.
    """
    if user.is_us or os.geteuid() != 0:
        yield
        return
    ours = os.getgroups()
    try:
        _set_groups((user.gid, *user.groups))
        _set("setfsgid", user.gid)
        _set("setfsuid", user.uid)
        yield
    finally:
        _set("setfsuid", os.geteuid())
        _set("setfsgid", os.getegid())
        _set_groups(ours)


def _set(function: str, number: int) -> None:
    call = getattr(_libc, function)
    call(ctypes.c_uint32(number))
    if call(_ANY) != number:
        raise PermissionError(errno.EPERM, f"{function} has no effect: CAP_SETUID is missing")


def _set_groups(groups: tuple[int, ...] | list[int]) -> None:
    wanted = list(dict.fromkeys(groups))
    array = (ctypes.c_uint32 * len(wanted))(*wanted)
    if _libc.syscall(ctypes.c_long(_SYS_SETGROUPS), ctypes.c_long(len(wanted)), array) < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"cannot set groups: {os.strerror(code)}")
