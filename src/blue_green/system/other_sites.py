"""Other sites on this machine, and the ports in their settings.

A port on which nothing listens now may belong to another site's idle slot, which needs it at its
next swap. Sites are found in three places: running supervisors in /proc, services in systemd's
directory, and settings files next to this one.
"""

import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path, PurePath
from typing import Any

from attrs import frozen

from blue_green.config.error import ConfigError
from blue_green.system import files, locate

PROC = Path("/proc")
UNITS = Path("/etc/systemd/system")
DEFAULT_FILE = "supervisor.toml"
PROGRAMS = ("blue-green", "blue_green")
"""The word before `run` in a command line: the program, or the module after `-m`."""
MAX_FILES = 200
"""Files to read in one directory."""
MAX_DESCRIPTORS = 100_000
"""Descriptors of a supervisor to examine."""
LISTENING = "00010000"
"""The flags of a listening Unix socket in /proc/net/unix."""
MAX_UNIT_SIZE = 64 * 1024
EXEC_START = re.compile(r"(?m)^ExecStart=[-@:+!]*(.+)$")


@frozen
class OtherSite:
    """The settings of another site."""

    file: Path
    ports: frozenset[int]
    """Of the app, and of the addresses on which it is served."""
    pid: int = 0
    """Of its supervisor; 0 if none runs."""
    is_service: bool = False

    def __str__(self) -> str:
        return f"{self.file}, pid {self.pid}" if self.pid else str(self.file)


def of(file: Path) -> Sequence[OtherSite]:
    """Other sites than that of this settings file, which need not exist yet.

    Running sites come first. Unreadable settings are left out, and so is a copy of this file, such
    as one that is about to replace it: its checkout and ports are the same.
    """
    own = file.resolve()
    itself: _Site | None = None
    with suppress(ConfigError):
        itself = _site_in(own)
    found: dict[Path, OtherSite] = {}
    sources = [
        *((path, pid, False) for pid, path in _running()),
        *((path, 0, True) for path in _services()),
        *((path, 0, False) for path in _beside(own)),
    ]
    for path, pid, is_service in sources:
        with suppress(OSError, ConfigError, RuntimeError):
            real = path.resolve()
            if real == own or real in found:
                continue
            site = _site_in(real)
            if site and site.ports and site != itself:
                found[real] = OtherSite(real, site.ports, pid, is_service)
    return list(found.values())


@frozen
class _Site:
    """What distinguishes two sites."""

    checkout: Path
    ports: frozenset[int]


def _site_in(file: Path) -> _Site | None:
    """The site of a settings file; None if there is no such file. Raises `ConfigError`."""
    if not file.exists():
        return None
    document = locate.read(file)
    checkout = _table(document, "git").get("checkout", ".")
    return _Site((file.parent / str(checkout)).resolve(), _ports(document))


def _running() -> Iterator[tuple[int, Path]]:
    """Yield the pid and the settings file of each supervisor in our network namespace."""
    ours = _network("self")
    for entry in PROC.iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with suppress(OSError):
            words = (entry / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
            named = settings_of([os.fsdecode(word) for word in words])
            if named is not None and _network(entry.name) in (ours, ""):
                yield int(entry.name), (entry / "cwd").readlink() / named


def socket_of(file: Path) -> Path | None:
    """The control socket of a supervisor that was started with this file, if it can be found."""
    own = file.resolve()
    with suppress(OSError):
        for pid, named in _running():
            with suppress(OSError, RuntimeError):
                if named.resolve() == own and (found := _control_socket(pid)):
                    return found
    return None


def _control_socket(pid: int) -> Path | None:
    """The Unix socket on which it listens that is private to its user (proc(5), net/unix)."""
    opened = {
        str(entry.readlink())
        for entry in islice((PROC / str(pid) / "fd").iterdir(), MAX_DESCRIPTORS)
    }
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


def settings_of(words: Sequence[str]) -> Path | None:
    """The settings file in a supervisor's command line; None for other programs."""
    for at, word in enumerate(words[:-1]):
        if PurePath(word).name in PROGRAMS and words[at + 1] == "run":
            named = [argument for argument in words[at + 2 :] if not argument.startswith("-")]
            return Path(named[0] if named else DEFAULT_FILE)
    return None


def _services() -> Iterator[Path]:
    with suppress(OSError):
        for unit in islice(sorted(UNITS.glob("*.service")), MAX_FILES):
            with suppress(OSError, ValueError):
                text = files.read_text(unit, MAX_UNIT_SIZE)
                for command in EXEC_START.findall(text):
                    named = settings_of(shlex.split(command))
                    if named is not None and named.is_absolute():
                        yield named


def _beside(file: Path) -> Iterator[Path]:
    directory = file.parent
    with suppress(OSError):
        yield from islice(sorted(directory.glob("*.toml")), MAX_FILES)
        yield from islice(sorted(directory.parent.glob(f"*/{DEFAULT_FILE}")), MAX_FILES)


def _ports(document: Mapping[str, Any]) -> frozenset[int]:
    """All ports in a settings file, which may be of another version, or of another program."""
    app, proxy, admin = (_table(document, name) for name in ("app", "proxy", "admin"))
    addresses = [*_list(proxy, "listen"), *_list(_table(proxy, "tls"), "redirect")]
    addresses += _list(admin, "listen")
    numbers = [str(address).rpartition(":")[2] for address in addresses]
    ports = [port for slot in _list(app, "ports") for port in (slot if _is_list(slot) else [slot])]
    found = {int(number) for number in numbers if number.isdecimal()} if app else set()
    return frozenset(found | {port for port in ports if isinstance(port, int)})


def _table(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = document.get(name)
    return value if isinstance(value, dict) else {}


def _list(table: Mapping[str, Any], name: str) -> list[Any]:
    value = table.get(name)
    return value if isinstance(value, list) else []


def _is_list(value: object) -> bool:
    return isinstance(value, list)
