"""The users that programs run as: the owner of a checkout, or the user in the settings."""

import errno
import grp
import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

from attrs import evolve, frozen

MAX_LINKS = 40
"""Symbolic links in a path, as in Linux (path_resolution(7))."""


class UserError(Exception):
    """A user or group in the settings cannot be used; str() says why."""


@frozen
class User:
    """A user to run a program as."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    name: str
    home: str
    shell: str

    @property
    def is_us(self) -> bool:
        return self.uid == os.geteuid()

    @property
    def environment(self) -> dict[str, str]:
        """Variables that differ from our own environment in programs of this user."""
        return {} if self.is_us else self.login

    @property
    def login(self) -> dict[str, str]:
        """Variables that a login would set: programs find their configuration by them."""
        return {
            "HOME": self.home,
            "USER": self.name,
            "LOGNAME": self.name,
            "SHELL": self.shell,
        }


def owner_of(path: Path) -> User:
    """The owner of this path; without root it is us, since only root can act as another user."""
    status = path.stat()
    if os.geteuid() != 0:
        return by_ids(os.geteuid(), os.getegid())
    return by_ids(status.st_uid, status.st_gid)


def group_name(gid: int) -> str:
    """The name of a group, or its number if it has none."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def named(user: str | None, group: str | None, default: User) -> User:
    """The user in the settings, or else `default`, with the group in the settings."""
    found = default
    if user is not None:
        try:
            found = _from_passwd(pwd.getpwnam(user))
        except KeyError:
            raise UserError(f'[app] user: there is no user "{user}" on this machine') from None
    if group is not None:
        try:
            gid = grp.getgrnam(group).gr_gid
        except KeyError:
            raise UserError(f'[app] group: there is no group "{group}" on this machine') from None
        found = evolve(found, gid=gid)
    if os.geteuid() != 0 and (found.uid != os.geteuid() or found.gid != os.getegid()):
        raise UserError(f"[app] user: only root can run the app as {user or group}")
    return found


CAPABILITIES = {
    "CAP_CHOWN": 0, "CAP_DAC_OVERRIDE": 1, "CAP_KILL": 5, "CAP_SETGID": 6, "CAP_SETUID": 7,
    "CAP_SYS_PTRACE": 19,
}  # fmt: skip
"""Capabilities that root needs to run the app as another user, and to find and end the processes
that it leaves behind; the numbers are those of capabilities(7)."""


def missing_capabilities(status: str) -> list[str]:
    """The needed capabilities that a process lacks, by its `/proc/PID/status`."""
    held = next((line.split()[1] for line in status.splitlines() if line[:7] == "CapEff:"), "0")
    return [name for name, bit in CAPABILITIES.items() if not int(held, 16) >> bit & 1]


def writable_by_others(path: Path, owner: int = 0) -> Path | None:
    """The file, or a directory on the path to it, that users other than root may write, if any.

    With `owner`, other than root and that user.

    The rule of sshd(8) for key files (StrictModes): a user who can change the settings or the state
    of a supervisor that runs as root can run anything as root. Every directory counts in which a
    component of the path is looked up, or one of a symbolic link in it. Paths that do not exist yet
    will belong to us. Sticky directories such as /tmp are allowed, since only root can replace
    root's files in them. Raises `OSError` (ELOOP) for too many links.
    """
    for component in _looked_up(path.absolute()):
        try:
            status = component.lstat()
        except FileNotFoundError:
            continue
        if stat.S_ISLNK(status.st_mode):
            # In a sticky directory, the owner of the link can replace it.
            if status.st_uid not in (0, owner) and component.parent.stat().st_mode & 0o022:
                return component
            continue
        sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
        if status.st_uid not in (0, owner) or (status.st_mode & 0o022 and not sticky):
            return component
    return None


def why_not_trusted(path: Path) -> str:
    """Why root must not rely on a file or directory of ours, and what to do; "" if it may."""
    unsafe = writable_by_others(path)
    if unsafe is None:
        return ""
    return (
        f"{path}: users other than root can write {unsafe}, and could run anything as root: "
        f"chown root {unsafe} && chmod go-w {unsafe}"
    )


def _looked_up(path: Path) -> Iterator[Path]:
    """All paths that are looked up to resolve a path, in order (path_resolution(7)).

    Only the last component of each may be a symbolic link.
    """
    todo = list(reversed(path.parts[1:]))
    current, links = Path("/"), 0
    yield current
    while todo:
        name = todo.pop()
        if name == "..":
            current = current.parent
            continue
        current /= name
        yield current
        if current.is_symlink():
            links += 1
            if links > MAX_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
            target = current.readlink()
            current = Path("/") if target.is_absolute() else current.parent
            todo += reversed(target.parts[1:] if target.is_absolute() else target.parts)


def creator_of(directory: Path, top: Path, owner: User, user: User) -> User:
    """The user to create a directory as, for `user`, below `top`, which belongs to `owner`.

    The owner, who then gives it to the user. But if a directory between them belongs to another
    user, who could put a symbolic link in the way, the user has to create it.
    """
    between = [parent for parent in directory.parents if parent.is_relative_to(top)]
    trusted = {0, owner.uid}
    are_owners = all(parent.stat().st_uid in trusted for parent in between if parent.exists())
    return owner if os.geteuid() != 0 or are_owners else user


def may(user: User, path: Path, what: int) -> bool:
    """Whether a user can reach this path and has the access rights `what` (`os.R_OK` etc.).

    For users other than us, by the modes of the path, without access control lists.
    """
    if user.is_us:
        return os.access(path, what)
    try:
        real = path.resolve(strict=True)
        can_reach = all(_permissions(user, parent) & os.X_OK for parent in real.parents)
        return can_reach and _permissions(user, real) & what == what
    except OSError:
        return False


def _permissions(user: User, path: Path) -> int:
    """The bits of the mode that apply to this user (path_resolution(7))."""
    status = path.stat()
    if status.st_uid == user.uid:
        return status.st_mode >> 6 & 7
    if status.st_gid in (user.gid, *user.groups):
        return status.st_mode >> 3 & 7
    return status.st_mode & 7


def by_ids(uid: int, gid: int) -> User:
    """The user with this uid; without an entry in passwd, it has no home and no other groups."""
    try:
        return _from_passwd(pwd.getpwuid(uid))
    except KeyError:
        return User(uid, gid, (), str(uid), "/", "/bin/sh")


def _from_passwd(entry: pwd.struct_passwd) -> User:
    groups = tuple(os.getgrouplist(entry.pw_name, entry.pw_gid))
    return User(entry.pw_uid, entry.pw_gid, groups, entry.pw_name, entry.pw_dir, entry.pw_shell)
