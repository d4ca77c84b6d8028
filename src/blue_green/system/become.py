"""Become another user for good."""

import os

from blue_green.system.users import User


def become(user: User) -> None:
    """Give up all rights of root, and take those of this user; without root, do nothing.

    Raises `OSError`. There is no way back: real, effective and saved IDs change, and so do the
    supplementary groups; the kernel then drops all capabilities (capabilities(7)).
    """
    if os.geteuid() != 0:
        return
    os.setgroups(user.groups)
    os.setresgid(user.gid, user.gid, user.gid)
    os.setresuid(user.uid, user.uid, user.uid)
    is_done = os.getresuid() == (user.uid,) * 3 and os.getresgid() == (user.gid,) * 3
    if not is_done or (user.uid != 0 and _can_be_root()):
        raise PermissionError(f"cannot give up the rights of root for {user.name}")


def _can_be_root() -> bool:
    try:
        os.setresuid(0, 0, 0)
    except PermissionError:
        return False
    return True
