"""Stray data: what an app wrote into its own release, and the next release would not have.

A file that `link` covers by now is not stray if the checkout's own copy is not older: then somebody
has probably copied it there, and the app has not written to it since. That is not certain, since
the next release may have created a new file there. So before a release is deleted, a copy counts
only if it is identical in size and modification time, as `cp -a` makes it.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from attrs import frozen

from blue_green.source import stray_scan
from blue_green.source.build_record import BuildRecord
from blue_green.source.stray_scan import MAX_NAMES, Stamp
from blue_green.system.printable import printable_line


@frozen
class StrayData:
    """Data in one release. Names are relative to the release; directories end in a slash."""

    release: Path
    checkout: Path
    links: Sequence[str]
    """The `link` setting at present."""
    databases: Sequence[str] = ()
    tracked: frozenset[str] = frozenset()
    """Databases that came with the commit or the build, and were changed since."""
    files: Sequence[str] = ()
    """There may be as many as an app has uploads: nothing below iterates over all of them."""
    top_level: Sequence[str] = ()
    """The top-level directories and files that contain them."""
    is_partial: bool = False
    """There may be more: the scan did not finish."""

    def __bool__(self) -> bool:
        """Whether the release must not be deleted."""
        return bool(self.databases or self.files or self.is_partial)

    @property
    def names(self) -> str:
        """The names in words: all of them, or the first few."""
        first = [*self.databases[:MAX_NAMES], *self.files[:MAX_NAMES]][:MAX_NAMES]
        more = len(self.databases) + len(self.files) - MAX_NAMES
        return ", ".join(map(printable_name, first)) + (f" and {more} more" if more > 0 else "")

    @property
    def to_link(self) -> Sequence[str]:
        """The names that `link` should have."""
        return self.databases or self.top_level

    @property
    def is_linked(self) -> bool:
        """Whether `link` has them already."""
        return all(_is_linked(name, self.links) for name in self.to_link)


def printable_name(name: str) -> str:
    """A file name as printable text: the app chose it."""
    return printable_line(os.fsencode(name))


def find(
    release: Path,
    record: BuildRecord,
    checkout: Path,
    links: Sequence[str],
    *,
    seconds: float = stray_scan.MAX_SECONDS,
    before_deleting: bool = False,
) -> StrayData:
    """Scan a complete release for up to `seconds`. Call it in a thread."""
    is_saved = _is_copied if before_deleting else _is_carried_over
    found = stray_scan.scan(release, record.completed, seconds=seconds)
    databases = [
        name
        for name, stamp in found.databases.items()
        if _is_written(name, stamp, record) and not is_saved(name, stamp, checkout, links)
    ]
    files = [name for name in found.files if not _is_carried_over(name, None, checkout, links)]
    tracked = frozenset(databases) & frozenset(record.databases)
    is_unknown = record.completed is None and record.is_partial
    return StrayData(
        release, checkout, links, databases, tracked, files, _top_level(files),
        is_partial=found.is_partial or is_unknown,
    )  # fmt: skip


def _is_written(name: str, stamp: Stamp, record: BuildRecord) -> bool:
    """Whether a database was created or changed since the release was complete."""
    if record.completed is None:
        return False  # The databases of the build are unknown, so this may be one of them.
    if record.is_partial and name not in record.databases:
        return stamp[0] > record.completed
    return record.databases.get(name) != stamp


def _is_carried_over(name: str, stamp: Stamp | None, checkout: Path, links: Sequence[str]) -> bool:
    """Whether the next release has it, through a link to a copy that is not older."""
    if not _is_linked(name, links):
        return False
    if stamp is None:
        return (checkout / name).exists()
    return (copy := _stamp_of(checkout / name)) is not None and copy[0] >= stamp[0]


def _is_linked(name: str, links: Sequence[str]) -> bool:
    stems = [link.rstrip("/") for link in links]
    path = name.rstrip("/")
    return any(path == stem or path.startswith(f"{stem}/") for stem in stems)


def _is_copied(name: str, stamp: Stamp, checkout: Path, links: Sequence[str]) -> bool:
    """Whether the checkout has an identical copy."""
    return _is_linked(name, links) and _stamp_of(checkout / name) == stamp


def _stamp_of(database: Path) -> Stamp | None:
    """When a database or its log was last written, and its size; None if there is none."""
    try:
        status = database.stat()
    except OSError:
        return None
    written = status.st_mtime_ns
    with suppress(OSError):
        log = database.with_name(database.name + stray_scan.LOG).stat()
        written = max(written, log.st_mtime_ns if log.st_size else 0)
    return written, status.st_size


def _top_level(files: Sequence[str]) -> Sequence[str]:
    names = [f"{name.partition('/')[0]}/" if "/" in name else name for name in files]
    return list(dict.fromkeys(names))
