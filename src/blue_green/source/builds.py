"""The directories of releases, and which of them counts for a revision.

There is one for each revision, until it is built again: what is live may run in the one that is
there, so the new build gets a directory beside it. Of several that are complete, one that was found
good counts before one that was not, and the newest before others.
"""

import os
from pathlib import Path

from attrs import frozen

from blue_green.source import build_record
from blue_green.source.build_record import PROMOTED

NAME_LENGTH = 12


@frozen
class Builds:
    """Of one site."""

    directory: Path
    """Where they are."""
    marks: Path
    """Where there is a file for each that is complete."""

    def mark_of(self, path: Path) -> Path:
        """The file that says that this one is complete, if there is one."""
        return self.marks / path.name

    def usual(self, revision: str) -> Path:
        """Where this revision is built the first time."""
        return self.directory / revision[:NAME_LENGTH]

    def another(self, revision: str) -> Path:
        """A place where there is nothing yet."""
        number = 2
        while os.path.lexists(path := self.directory / f"{revision[:NAME_LENGTH]}-{number}"):
            number += 1
        return path

    def complete(self, revision: str) -> Path | None:
        """The complete build that counts, if there is one."""
        usual = self.usual(revision)
        paths = [usual, *self.directory.glob(f"{usual.name}-*")]
        found = [path for path in paths if path.is_dir() and self.mark_of(path).exists()]
        return max(found, key=self._worth, default=None)

    def _worth(self, path: Path) -> tuple[bool, int]:
        file = self.mark_of(path)
        return build_record.read(file).what == PROMOTED, file.stat().st_mtime_ns
