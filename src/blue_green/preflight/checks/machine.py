"""What the machine gives: open files, memory, and its SQLite."""

import sqlite3
from collections.abc import Iterator, Mapping
from itertools import chain
from math import isinf
from pathlib import Path

from blue_green.config.settings import Settings
from blue_green.preflight.checks.finding import Finding, Findings, passed, warned
from blue_green.supervisor import startup
from blue_green.system import memory, procfs

SAFE_SQLITE = (3, 51, 3)
"""From here on a database in WAL mode cannot be damaged by one process that starts its log anew
while another copies from it (sqlite.org/wal.html#walresetbug).
"""
MENDED_SQLITE: Mapping[tuple[int, ...], int] = {(3, 44): 6, (3, 50): 7}
"""Older series that were mended, too, and from which release on."""
DATABASES = ("*.db", "*.sqlite", "*.sqlite3")


def open_files(settings: Settings) -> Findings:
    """Whether the limit that holds here carries all connections."""
    wanted = settings.proxy.max_connections
    granted = startup.within_file_limit(settings).proxy.max_connections
    if not startup.lacks_room(wanted, granted):
        yield passed("[proxy] max_connections", f"open files suffice for {granted} connections")
        return
    needed = 2 * wanted + startup.DESCRIPTORS_OF_OUR_OWN
    yield warned(
        "[proxy] max_connections",
        f"the limit of open files that holds here leaves room for {granted} of {wanted}",
        f"LimitNOFILE={needed} in the unit, or ulimit -Hn {needed}; or set fewer",
    )


def memory_for_two(settings: Settings, used: int) -> Finding:
    """Whether another release fits beside one that uses so many bytes."""
    free, about = memory.available(), "memory"
    if isinf(free):
        return passed(about, f"the app uses {_mib(used)}; nothing tells how much is available")
    text = f"the app uses {_mib(used)} of memory, and {_mib(free)} are available"
    if free >= used:
        return passed(about, text)
    if "exclusive" in (settings.swap.strategy, settings.swap.low_memory):
        return passed(about, f"{text}: the old one is stopped before a new one starts")
    then = 'set low_memory = "exclusive" in [swap], or free some'
    return warned(about, f"{text}: a second one may not fit", then)


def memory_of(marker: str) -> int:
    """Bytes that all processes with this marker in their environment use."""
    return sum(map(procfs.memory, procfs.pids_of_supervisor(marker)))


def sqlite(settings: Settings) -> Findings:
    """Two releases that overlap have a database open at once."""
    if settings.swap.strategy != "overlap":
        return
    found = next(databases(settings.git.checkout, settings.release.link), None)
    if found is None:
        return
    version = sqlite3.sqlite_version
    if is_safe(sqlite3.sqlite_version_info):
        yield passed("[swap] strategy", f"SQLite {version} lets two releases share {found.name}")
        return
    safe = ".".join(map(str, SAFE_SQLITE))
    yield warned(
        "[swap] strategy",
        f"two releases may write {found.name} at once, and SQLite {version}, which is here, can "
        f"then damage a database in WAL mode; {safe} is the first that cannot",
        'set strategy = "exclusive", unless the app has a newer SQLite of its own',
    )


def is_safe(version: tuple[int, int, int]) -> bool:
    """Whether two processes may write one database with this version of SQLite."""
    *series, release = version
    return version >= SAFE_SQLITE or release >= MENDED_SQLITE.get(tuple(series), release + 1)


def databases(checkout: Path, links: tuple[str, ...]) -> Iterator[Path]:
    """SQLite's files in the checkout, in its directories, and in those that are linked."""
    places = [checkout, *(checkout / name for name in links)]
    try:
        places += [path for path in checkout.iterdir() if path.is_dir() and path.name[0] != "."]
        yield from (place for place in places if place.is_file() and _is_database(place))
        yield from chain.from_iterable(
            place.glob(pattern) for place in places if place.is_dir() for pattern in DATABASES
        )
    except OSError:
        return  # Whether the checkout can be read is told by another check.


def _is_database(file: Path) -> bool:
    return any(map(file.match, DATABASES))


def _mib(size: float) -> str:
    return f"{size / 2**20:.0f} MiB"
