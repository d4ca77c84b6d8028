"""The supervisors that run on this machine, found in /proc (proc(5))."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path, PurePath

from attrs import frozen

from blue_green.system import procfs

PROC = Path("/proc")
DEFAULT_FILE = "supervisor.toml"
PROGRAMS = ("blue-green", "blue_green")
"""The word before `run` in a command line: the program, or the module after `-m`."""
MAX_DESCRIPTORS = 100_000
"""Descriptors of a supervisor to examine."""
LISTENING = "00010000"
"""The flags of a listening Unix socket in /proc/net/unix."""


@frozen
class SupervisorProcess:
    """A running supervisor."""

    pid: int
    file: Path
    """Its settings file, as named in its command line."""

    def __str__(self) -> str:
        return f"{self.file}, pid {self.pid}"

    @property
    def control_socket(self) -> Path | None:
        """The Unix socket on which it listens that is private to its user; None if unknown."""
        with suppress(OSError):
            return _private_socket(self.pid)
        return None

    @property
    def environment(self) -> Mapping[str, str] | None:
        """The environment that it was started with; None if we may not read it."""
        with suppress(OSError):
            variables = (PROC / str(self.pid) / "environ").read_bytes().split(b"\0")
            pairs = (os.fsdecode(variable).partition("=") for variable in variables)
            return {name: value for name, _, value in pairs}
        return None


def supervisors() -> Iterator[SupervisorProcess]:
    """Yield each supervisor in our network namespace."""
    ours = _network("self")
    for entry in PROC.iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with suppress(OSError):
            words = (entry / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
            named = settings_of([os.fsdecode(word) for word in words])
            if named is not None and _network(entry.name) in (ours, ""):
                yield SupervisorProcess(int(entry.name), (entry / "cwd").readlink() / named)


def socket_of(file: Path) -> Path | None:
    """The control socket of a supervisor that was started with this file, if it can be found."""
    sockets = (supervisor.control_socket for supervisor in _with(file))
    return next((socket for socket in sockets if socket), None)


def environment_of(file: Path) -> Mapping[str, str] | None:
    """The environment of a supervisor that was started with this file, if it can be found."""
    environments = (supervisor.environment for supervisor in _with(file))
    return next((environment for environment in environments if environment), None)


def _with(file: Path) -> Sequence[SupervisorProcess]:
    """The supervisors that were started with this file.

    First those of root, of our user and of the owner of the file, and then by age: any user can run
    something that looks like one of them.
    """
    own, found = file.resolve(), []
    with suppress(OSError):
        for supervisor in supervisors():
            with suppress(OSError, RuntimeError):
                if supervisor.file.resolve() == own:
                    found.append(supervisor)
    owners = {0, os.geteuid()}
    with suppress(OSError):
        owners.add(own.stat().st_uid)
    return sorted(
        found,
        key=lambda one: (procfs.uid_of(one.pid) not in owners, procfs.start_time(one.pid) or 0),
    )


def settings_of(words: Sequence[str]) -> Path | None:
    """The settings file in a supervisor's command line; None for other programs."""
    for at, word in enumerate(words[:-1]):
        if PurePath(word).name in PROGRAMS and words[at + 1] == "run":
            named = [argument for argument in words[at + 2 :] if not argument.startswith("-")]
            return Path(named[0] if named else DEFAULT_FILE)
    return None


def _private_socket(pid: int) -> Path | None:
    opened = set()
    for entry in islice((PROC / str(pid) / "fd").iterdir(), MAX_DESCRIPTORS):
        with suppress(FileNotFoundError):  # It has been closed meanwhile.
            opened.add(str(entry.readlink()))
    for line in (PROC / str(pid) / "net" / "unix").read_text(errors="replace").splitlines()[1:]:
        fields = line.split(maxsplit=7)
        if len(fields) == 8 and fields[3] == LISTENING and f"socket:[{fields[6]}]" in opened:
            path = Path(fields[7])
            with suppress(OSError):
                if not path.lstat().st_mode & 0o077:
                    return path
    return None


def _network(pid: str) -> str:
    """The network namespace of a process (namespaces(7)); empty if it may not be read."""
    try:
        return str((PROC / pid / "ns" / "net").readlink())
    except OSError:
        return ""
