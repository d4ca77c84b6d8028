"""Whom programs run as: the owner of a checkout, or the user that the settings name."""

import errno
import grp
import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

from attrs import evolve, frozen

MOST_LINKS = 40
"""Symbolic links on the way to a file, as in Linux (path_resolution(7))."""


class UserError(Exception):
    """A user or group of the settings cannot be used."""


@frozen
class User:
    """Someone to run a program as."""

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
        """What has to be different from our own environment in what runs as this user."""
        return {} if self.is_us else self.login

    @property
    def login(self) -> dict[str, str]:
        """What a login would set: programs look here for their own configuration."""
        return {
            "HOME": self.home,
            "USER": self.name,
            "LOGNAME": self.name,
            "SHELL": self.shell,
        }


def owner_of(path: Path) -> User:
    """Who owns this path; only root can act for anyone else, so without root it is us."""
    status = path.stat()
    if os.geteuid() != 0:
        return _by_ids(os.geteuid(), os.getegid())
    return _by_ids(status.st_uid, status.st_gid)


def named(user: str | None, group: str | None, default: User) -> User:
    """The user (or else `default`) with the group, as the settings name them."""
    someone = default
    if user is not None:
        try:
            someone = _from_passwd(pwd.getpwnam(user))
        except KeyError:
            raise UserError(f'[app] user: there is no user "{user}" on this machine') from None
    if group is not None:
        try:
            gid = grp.getgrnam(group).gr_gid
        except KeyError:
            raise UserError(f'[app] group: there is no group "{group}" on this machine') from None
        someone = evolve(someone, gid=gid)
    if os.geteuid() != 0 and (someone.uid != os.geteuid() or someone.gid != os.getegid()):
        raise UserError(f"[app] user: only root can run the app as {user or group}")
    return someone


CAPABILITIES = {
    "CAP_CHOWN": 0, "CAP_DAC_OVERRIDE": 1, "CAP_KILL": 5, "CAP_SETGID": 6, "CAP_SETUID": 7,
    "CAP_SYS_PTRACE": 19,
}  # fmt: skip
"""What root needs to run the app as another user, and to find and end all that it leaves behind;
their numbers are those of capabilities(7)."""


def missing_capabilities(status: str) -> list[str]:
    """Those that a process lacks, by its `/proc/PID/status`."""
    held = next((line.split()[1] for line in status.splitlines() if line[:7] == "CapEff:"), "0")
    return [name for name, bit in CAPABILITIES.items() if not int(held, 16) >> bit & 1]


def writable_by_others(path: Path) -> Path | None:
    """The file or a directory on the way to it that someone but root may write, if there is one.

    What sshd(8) asks of a key file with StrictModes: who can change the settings or the state of a
    supervisor that runs as root can run anything as root. Every directory counts in which a
    component of the path is looked up, also of a symbolic link on the way; what does not exist yet
    will belong to us. Sticky directories such as /tmp are passed, since there nobody can replace
    what is root's. Raises `OSError` (ELOOP) for too many links.
    """
    for place in _looked_up(path.absolute()):
        try:
            status = place.lstat()
        except FileNotFoundError:
            continue
        if stat.S_ISLNK(status.st_mode):
            # Its directory is nobody else's, or sticky: there its owner can still replace it.
            if status.st_uid != 0 and place.parent.stat().st_mode & 0o022:
                return place
            continue
        sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
        if status.st_uid != 0 or (status.st_mode & 0o022 and not sticky):
            return place
    return None


def _looked_up(path: Path) -> Iterator[Path]:
    """All places on the way to what a path means, in order (path_resolution(7)).

    Each one but its last component is free of symbolic links.
    """
    todo = list(reversed(path.parts[1:]))
    place, links = Path("/"), 0
    yield place
    while todo:
        name = todo.pop()
        if name == "..":
            place = place.parent
            continue
        place /= name
        yield place
        if place.is_symlink():
            links += 1
            if links > MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
            target = place.readlink()
            place = Path("/") if target.is_absolute() else place.parent
            todo += reversed(target.parts[1:] if target.is_absolute() else target.parts)


def who_can_make(directory: Path, top: Path, owner: User, user: User) -> User:
    """Who is to make a directory somewhere below `top`, which is the owner's, for the user.

    The owner; but where it lies in a directory of somebody else, who could put a link in the way
    of what is made and given away, it is the user's own affair.
    """
    between = [place for place in directory.parents if place.is_relative_to(top)]
    trusted = {0, owner.uid}
    are_owners = all(place.stat().st_uid in trusted for place in between if place.exists())
    return owner if os.geteuid() != 0 or are_owners else user


def may(user: User, path: Path, what: int) -> bool:
    """Whether a user can get to this path, and may do there what `os.R_OK` and so on stand for.

    For others than us by the modes of the directories on the way, without access control lists.
    """
    if user.is_us:
        return os.access(path, what)
    try:
        real = path.resolve(strict=True)
        on_the_way = all(_permissions(user, place) & os.X_OK for place in real.parents)
        return on_the_way and _permissions(user, real) & what == what
    except OSError:
        return False


def _permissions(user: User, path: Path) -> int:
    """The bits of the mode that hold for this user (path_resolution(7))."""
    status = path.stat()
    if status.st_uid == user.uid:
        return status.st_mode >> 6 & 7
    if status.st_gid in (user.gid, *user.groups):
        return status.st_mode >> 3 & 7
    return status.st_mode & 7


def _by_ids(uid: int, gid: int) -> User:
    """The user of this uid; one without an entry in passwd has no home and no further groups."""
    try:
        return _from_passwd(pwd.getpwuid(uid))
    except KeyError:
        return User(uid, gid, (), str(uid), "/", "/bin/sh")


def _from_passwd(entry: pwd.struct_passwd) -> User:
    groups = tuple(os.getgrouplist(entry.pw_name, entry.pw_gid))
    return User(entry.pw_uid, entry.pw_gid, groups, entry.pw_name, entry.pw_dir, entry.pw_shell)
