"""What is remembered of a complete release, in a file beside the others in `built`.

The first line says which revision it is, and whether it was found good. The second is a JSON
object: when it was complete, and which databases were in it then.
"""

import json
import time
from collections.abc import Mapping
from pathlib import Path

from attrs import field, frozen

from blue_green.source.revision import REVISION
from blue_green.source.stray_scan import Found, Stamp
from blue_green.system import files

MAX_NOTED = 1000
ROOM_FOR_NAMES = 512 * 1024
"""Bytes of JSON for all names that are noted."""
BUILT, PROMOTED = "built", "promoted"
LARGEST = 1024 * 1024
"""Bytes."""


@frozen
class BuildRecord:
    """A complete release."""

    revision: str
    what: str = BUILT
    completed: int | None = None
    """Nanoseconds since the epoch; None if that was not noted."""
    databases: Mapping[str, Stamp] = field(factory=dict)
    """Those that git or the build had put there, and when they had been changed."""
    is_partial: bool = False
    """There may have been more: the release was too large to be looked through to its end."""

    def write(self, file: Path) -> None:
        """Write it; raise `OSError`. What was there before stays unless all of it is written."""
        more = {
            "completed": self.completed,
            "databases": self.databases,
            "is_partial": self.is_partial,
        }
        files.replace(file, f"{self.revision} {self.what}\n{json.dumps(more)}\n".encode())


def complete(revision: str, found: Found) -> BuildRecord:
    """A release that has just been built, and what was found in it."""
    noted: dict[str, Stamp] = {}
    room = ROOM_FOR_NAMES
    for name, stamp in found.databases.items():
        room -= len(json.dumps(name))
        if room < 0 or len(noted) == MAX_NOTED:
            break
        noted[name] = stamp
    is_partial = found.is_partial or len(noted) < len(found.databases)
    return BuildRecord(revision, BUILT, time.time_ns(), noted, is_partial)


def read(file: Path) -> BuildRecord:
    """What the file says; raise `OSError`. What we do not understand counts as not noted.

    One that does not even name a revision is damaged: then nothing is known of the release.
    """
    text = files.read_bounded(file, LARGEST).decode(errors="replace")
    first, _, rest = text.partition("\n")
    revision, _, what = first.strip().partition(" ")
    try:
        more = json.loads(rest)
        databases = {
            str(name): (int(at), int(size)) for name, (at, size) in more["databases"].items()
        }
        return BuildRecord(
            revision, what, int(more["completed"]), databases, bool(more.get("is_partial"))
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        return BuildRecord(revision, what, is_partial=not REVISION.fullmatch(revision))
