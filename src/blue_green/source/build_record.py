"""The record of a complete release, a file in the directory `built`.

The first line contains the revision, and whether it was promoted. The second is a JSON object: when
the release was complete, and which databases it had then.
"""

import json
import time
from collections.abc import Mapping
from pathlib import Path

from attrs import field, frozen

from blue_green.source.revision import REVISION
from blue_green.source.stray_scan import Found, Stamp
from blue_green.system import files

MAX_DATABASES = 1000
ROOM_FOR_NAMES = 512 * 1024
"""Bytes of JSON for the names of all databases."""
BUILT, PROMOTED = "built", "promoted"
LARGEST = 1024 * 1024
"""Bytes."""


@frozen
class BuildRecord:
    """The record of a complete release."""

    revision: str
    status: str = BUILT
    completed: int | None = None
    """Nanoseconds since the epoch; None if unknown."""
    databases: Mapping[str, Stamp] = field(factory=dict)
    """Databases that came with the commit or the build."""
    is_partial: bool = False
    """There may have been more: the scan of the release did not finish."""

    def write(self, file: Path) -> None:
        """Replace the file atomically; raise `OSError`."""
        more = {
            "completed": self.completed,
            "databases": self.databases,
            "is_partial": self.is_partial,
        }
        files.replace(file, f"{self.revision} {self.status}\n{json.dumps(more)}\n".encode())


def complete(revision: str, found: Found) -> BuildRecord:
    """The record of a release that has just been built; `found` are its databases."""
    databases: dict[str, Stamp] = {}
    room = ROOM_FOR_NAMES
    for name, stamp in found.databases.items():
        room -= len(json.dumps(name))
        if room < 0 or len(databases) == MAX_DATABASES:
            break
        databases[name] = stamp
    is_partial = found.is_partial or len(databases) < len(found.databases)
    return BuildRecord(revision, BUILT, time.time_ns(), databases, is_partial)


def read(file: Path) -> BuildRecord:
    """Read a record; raise `OSError`. Parts that are not understood count as unknown.

    Without a valid revision the file is damaged: then nothing is known of the release.
    """
    text = files.read_bounded(file, LARGEST).decode(errors="replace")
    first, _, rest = text.partition("\n")
    revision, _, status = first.strip().partition(" ")
    try:
        more = json.loads(rest)
        databases = {
            str(name): (int(at), int(size)) for name, (at, size) in more["databases"].items()
        }
        return BuildRecord(
            revision, status, int(more["completed"]), databases, bool(more.get("is_partial"))
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return BuildRecord(revision, status, is_partial=not REVISION.fullmatch(revision))
