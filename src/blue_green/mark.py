"""What is remembered of a complete release, in a file beside the others in `built`.

The first line says which revision it is, and whether it was found good. The second is a JSON
object: when it was complete, and which databases were in it then.
"""

import json
import time
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

from attrs import field, frozen

from blue_green import files
from blue_green.stray import Found, Stamp

MOST_NOTED = 1000
BUILT, PROMOTED = "built", "promoted"
LARGEST = 1024 * 1024
"""Bytes."""


@frozen
class Mark:
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
        """Write it; raise `OSError`."""
        more = {
            "completed": self.completed,
            "databases": self.databases,
            "is_partial": self.is_partial,
        }
        file.write_text(f"{self.revision} {self.what}\n{json.dumps(more)}\n")


def complete(revision: str, found: Found) -> Mark:
    """A release that has just been built, and what was found in it."""
    noted = dict(islice(found.databases.items(), MOST_NOTED))
    is_partial = found.is_partial or len(noted) < len(found.databases)
    return Mark(revision, BUILT, time.time_ns(), noted, is_partial)


def read(file: Path) -> Mark:
    """What the file says; raise `OSError`. What we do not understand counts as not noted."""
    text = files.read_bounded(file, LARGEST).decode(errors="replace")
    first, _, rest = text.partition("\n")
    revision, _, what = first.strip().partition(" ")
    try:
        more = json.loads(rest)
        databases = {
            str(name): (int(at), int(size)) for name, (at, size) in more["databases"].items()
        }
        return Mark(revision, what, int(more["completed"]), databases, bool(more.get("is_partial")))
    except (ValueError, TypeError, KeyError, AttributeError):
        return Mark(revision, what)
