"""Unix sockets of backends, for a site that has `{socket}` in its command.

The sockets of a slot are in a directory that only the app's user can enter. That directory is in
one of ours, so nobody else can replace it. So whatever mode an app gives its socket, only programs
of its user, and root, can connect to it or put another socket in its place.

The app's user may put a symbolic link there. So `dial` also checks which user listens: as root, we
could connect to any socket of this machine.
"""

import os
import stat
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from blue_green.config.kinds import Endpoint
from blue_green.source.failure import MachineFault
from blue_green.system.unix_socket import LONGEST_PATH
from blue_green.system.users import User

NAME = "sockets"
RUN = Path("/run")
"""Where only root can create files."""
SHORTEN = "use a shorter state directory, or {port} instead of {socket}"
LONGEST_NAME = len("/green/999.sock")


def directory_for(state_directory: Path) -> Path:
    """The directory with the sockets of a site.

    It is in the state directory, unless the paths of the sockets would be too long there. Then it
    has a short name in /run, or without root in the directory for temporary files.
    """
    usual = state_directory / NAME
    if is_short(usual):
        return usual
    short = RUN if os.geteuid() == 0 else Path(tempfile.gettempdir())
    return short / f"blue-green-{os.geteuid()}-{zlib.crc32(bytes(state_directory)):08x}"


def is_short(directory: Path) -> bool:
    """Whether the kernel allows the paths of sockets in this directory."""
    return len(bytes(directory)) + LONGEST_NAME <= LONGEST_PATH


def too_long(directory: Path) -> str:
    """The problem of a directory that is not short, in words."""
    return f"{directory} is too long: the path of a Unix socket has at most {LONGEST_PATH} bytes"


def addresses(state_directory: Path, slot: str, count: int) -> Sequence[Endpoint]:
    """The addresses of the backends of a slot."""
    directory = directory_for(state_directory) / slot
    return [Endpoint(path=directory / f"{number}.sock") for number in range(1, count + 1)]


def prepare(path: Path, user: User) -> None:
    """Create the directory of a backend's socket, and delete the socket of an earlier process.

    Raises `MachineFault` if the directory cannot be used. What is in it belongs to the app's user,
    so nothing in it is followed.
    """
    slot = path.parent
    if not is_short(slot.parent):
        raise MachineFault(f"{too_long(slot.parent)}: {SHORTEN}")
    try:
        with _own(slot.parent) as ours, _created(slot.name, ours) as inner:
            _give_alone(inner, user)
            _remove_socket(path, inner)
    except OSError as error:
        raise MachineFault(f"cannot create {slot} for sockets: {error.strerror}") from None


@contextmanager
def _own(directory: Path) -> Iterator[int]:
    """A descriptor of a directory of ours, which all users may pass through."""
    with _created(directory, None) as descriptor:
        status = os.fstat(descriptor)
        if status.st_uid != os.geteuid():
            raise MachineFault(f"{directory} belongs to another user: remove it")
        os.fchmod(descriptor, 0o711)
        yield descriptor


@contextmanager
def _created(name: Path | str, inside: int | None) -> Iterator[int]:
    """A descriptor of a directory that is no symbolic link, created for us alone if necessary."""
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=inside)
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, dir_fd=inside)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _give_alone(directory: int, user: User) -> None:
    """Give this directory to a user, and access to nobody else.

    Only the owner of a directory may change its mode: root may lack CAP_FOWNER.
    """
    status = os.fstat(directory)
    if (status.st_uid, stat.S_IMODE(status.st_mode)) != (user.uid, 0o700):
        os.fchown(directory, os.geteuid(), -1)
        os.fchmod(directory, 0o700)
        os.fchown(directory, user.uid, user.gid)


def _remove_socket(path: Path, inside: int) -> None:
    try:
        kind = os.stat(path.name, dir_fd=inside, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind) and not stat.S_ISLNK(kind):
        raise MachineFault(f"{path} is in the way of the app's socket, and is no socket: remove it")
    os.unlink(path.name, dir_fd=inside)
