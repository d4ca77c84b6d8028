"""The machine: its open-file limit, its memory, and its SQLite."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from math import isinf
from pathlib import Path

from attrs import frozen

from blue_green.config.settings import Settings, SiteSettings
from blue_green.preflight.checks.finding import Findings, passed, warned
from blue_green.proxy.buffer_space import MOST_FILES
from blue_green.supervisor import startup
from blue_green.system import memory, procfs

SAFE_SQLITE = (3, 51, 3)
"""The first release in which one process cannot corrupt a database in WAL mode by resetting the
log while another process checkpoints it (sqlite.org/wal.html#walresetbug).
"""
FIXED_SQLITE: Mapping[tuple[int, ...], int] = {(3, 44): 6, (3, 50): 7}
"""Older series that have the fix, too, and their first release with it."""
DATABASES = ("*.db", "*.sqlite", "*.sqlite3")


def open_files(settings: Settings) -> Findings:
    """Compare the open-file limit with `max_connections`."""
    wanted = settings.proxy.max_connections
    granted = startup.within_file_limit(settings).max_connections
    if not startup.lacks_room(wanted, granted):
        yield passed("[proxy] max_connections", f"the open-file limit allows {granted} connections")
        return
    needed = 2 * wanted + MOST_FILES + startup.DESCRIPTORS_OF_OUR_OWN
    yield warned(
        "[proxy] max_connections",
        f"the open-file limit (ulimit -n) allows {granted} of {wanted} connections",
        f"set LimitNOFILE={needed} in the unit, or ulimit -Hn {needed}; or lower max_connections",
    )


@frozen
class MemoryUse:
    """How much memory a release of a site uses."""

    site: SiteSettings
    used: int
    """In bytes."""
    is_running: bool
    """Its release is running now, so that the available memory is what is left beside it."""


def memory_for_swaps(uses: Sequence[MemoryUse], *, is_single: bool) -> Findings:
    """Whether the machine has memory for all releases, and for one more of the largest."""
    if not uses:
        return
    free, about = memory.available(), "memory"
    largest = max(uses, key=lambda use: use.used)
    missing = sum(use.used for use in uses if not use.is_running) if not is_single else 0
    if is_single:
        text = f"the app uses {_mib(largest.used)}"
    else:
        total = _mib(sum(use.used for use in uses))
        named = ", ".join(f"{use.site.name} {_mib(use.used)}" for use in uses)
        text = f"the apps use {total} ({named})"
    if isinf(free):
        yield passed(about, f"{text}; the available memory is unknown")
        return
    text = f"{text}, and {_mib(free)} are available"
    exclusive = {"exclusive"} & {largest.site.swap.strategy, largest.site.swap.low_memory}
    if free >= missing + largest.used:
        yield passed(about, text)
    elif exclusive and free >= missing:
        yield passed(about, f"{text}: the old one is stopped before a new one starts")
    else:
        whose = "" if is_single else f" of {largest.site.name}"
        where = "[swap]" if is_single else f"[swap] of {largest.site.name}"
        advice = f'set low_memory = "exclusive" in {where}, or free some memory'
        yield warned(about, f"{text}: a second release{whose} may not fit", advice)


def memory_of(marker: str) -> int:
    """Bytes used by all processes with this marker in their environment."""
    return sum(map(procfs.memory, procfs.pids_of_supervisor(marker)))


def sqlite(settings: SiteSettings) -> Findings:
    """Check for an SQLite that is unsafe when two overlapping releases write one database."""
    if settings.swap.strategy != "overlap" or settings.is_static:
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
        f"two releases may write {found.name} at once, which can corrupt a database in WAL mode "
        f"with SQLite {version}, installed here; {safe} is the first safe version",
        'set strategy = "exclusive", unless the app has a newer SQLite of its own',
    )


def is_safe(version: tuple[int, int, int]) -> bool:
    """Whether two processes may write one database with this version of SQLite."""
    *series, release = version
    return version >= SAFE_SQLITE or release >= FIXED_SQLITE.get(tuple(series), release + 1)


def databases(checkout: Path, links: tuple[str, ...]) -> Iterator[Path]:
    """Yield SQLite's files in the checkout, its subdirectories, and linked paths."""
    places = [checkout, *(checkout / name for name in links)]
    try:
        places += [path for path in checkout.iterdir() if path.is_dir() and path.name[0] != "."]
        yield from (place for place in places if place.is_file() and _is_database(place))
        yield from chain.from_iterable(
            place.glob(pattern) for place in places if place.is_dir() for pattern in DATABASES
        )
    except OSError:
        return  # Another check reports a checkout that cannot be read.


def _is_database(file: Path) -> bool:
    return any(map(file.match, DATABASES))


def _mib(size: float) -> str:
    return f"{size / 2**20:.0f} MiB"
