"""Other sites on this machine, and the ports in their settings.

A port on which nothing listens now may belong to another site's idle slot, which needs it at its
next swap. Sites are found in three places: running supervisors in /proc, services in systemd's
directory, and settings files next to this one.
"""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from attrs import frozen

from blue_green.config.error import ConfigError
from blue_green.system import files, locate, running_supervisors, site_tables
from blue_green.system.running_supervisors import DEFAULT_FILE
from blue_green.system.site_tables import table

UNITS = Path("/etc/systemd/system")
MAX_FILES = 200
"""Files to read in one directory."""
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
    itself: _Served | None = None
    with suppress(ConfigError):
        itself = _served_by(own)
    found: dict[Path, OtherSite] = {}
    sources = [
        *((one.file, one.pid, False) for one in running_supervisors.supervisors()),
        *((path, 0, True) for path in _services()),
        *((path, 0, False) for path in _beside(own)),
    ]
    for path, pid, is_service in sources:
        with suppress(OSError, ConfigError, RuntimeError):
            real = path.resolve()
            if real == own or real in found:
                continue
            served = _served_by(real)
            if served and served.ports and served != itself:
                found[real] = OtherSite(real, served.ports, pid, is_service)
    return list(found.values())


@frozen
class _Served:
    """What distinguishes two settings files."""

    checkouts: frozenset[Path]
    ports: frozenset[int]


def _served_by(file: Path) -> _Served | None:
    """What a settings file serves; None if there is no such file. Raises `ConfigError`."""
    if not file.exists():
        return None
    document = locate.read(file)
    sites = site_tables.sites_in(document, file)
    ports = _ports_of_process(document) if sites else set()
    for site in sites:
        ports |= _ports_of_app(site.values)
    return _Served(frozenset(site.checkout.resolve() for site in sites), frozenset(ports))


def _services() -> Iterator[Path]:
    with suppress(OSError):
        for unit in islice(sorted(UNITS.glob("*.service")), MAX_FILES):
            with suppress(OSError, ValueError):
                text = files.read_text(unit, MAX_UNIT_SIZE)
                for command in EXEC_START.findall(text):
                    named = running_supervisors.settings_of(shlex.split(command))
                    if named is not None and named.is_absolute():
                        yield named


def _beside(file: Path) -> Iterator[Path]:
    directory = file.parent
    with suppress(OSError):
        yield from islice(sorted(directory.glob("*.toml")), MAX_FILES)
        yield from islice(sorted(directory.parent.glob(f"*/{DEFAULT_FILE}")), MAX_FILES)


def _ports_of_process(document: Mapping[str, Any]) -> set[int]:
    """The ports of its addresses, in settings that may be of another version, or program."""
    proxy, admin = table(document, "proxy"), table(document, "admin")
    addresses = [*_list(proxy, "listen"), *_list(table(proxy, "tls"), "redirect")]
    addresses += _list(admin, "listen")
    numbers = [str(address).rpartition(":")[2] for address in addresses]
    return {int(number) for number in numbers if number.isdecimal()}


def _ports_of_app(site: Mapping[str, Any]) -> set[int]:
    named = _list(table(site, "app"), "ports")
    ports = [port for slot in named for port in (slot if isinstance(slot, list) else [slot])]
    return {port for port in ports if isinstance(port, int)}


def _list(values: Mapping[str, Any], name: str) -> list[Any]:
    value = values.get(name)
    return value if isinstance(value, list) else []
