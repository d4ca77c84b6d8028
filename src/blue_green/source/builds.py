"""The directories of releases, and which of them counts for a revision.

Each revision has one, until it is built again: the live release may run there, so the new build
gets another directory. Of several complete builds, those that were promoted take precedence, and
then the newest.
"""

import os
from pathlib import Path

from attrs import evolve, frozen

from blue_green.source import build_record
from blue_green.source.build_record import PROMOTED
from blue_green.source.revision import REVISION

NAME_LENGTH = 12


@frozen
class Builds:
    """The builds of one site. What looks at their files blocks, so it is for threads."""

    directory: Path
    """The directory of the releases."""
    records: Path
    """The directory with a record of each complete release."""

    def record_of(self, path: Path) -> Path:
        """The record of a release, which exists if the release is complete."""
        return self.records / path.name

    def forget(self, path: Path) -> None:
        """Delete the record of a release, so that it is incomplete."""
        self.record_of(path).unlink(missing_ok=True)

    def note_promoted(self, path: Path) -> None:
        """Record that this release was promoted; raise `OSError`."""
        file = self.record_of(path)
        evolve(build_record.read(file), status=PROMOTED).write(file)

    def promoted(self) -> dict[str, str]:
        """The directories and revisions of releases that were promoted, the last one first."""
        if not self.records.is_dir():
            return {}
        found = [file for file in self.records.iterdir() if (self.directory / file.name).is_dir()]
        found.sort(key=lambda file: file.stat().st_mtime, reverse=True)
        records = {file.name: build_record.read(file) for file in found}
        return {
            name: record.revision
            for name, record in records.items()
            if record.status == PROMOTED and REVISION.fullmatch(record.revision)
        }

    def first(self, revision: str) -> Path:
        """The directory of the first build of a revision."""
        return self.directory / revision[:NAME_LENGTH]

    def unused(self, revision: str) -> Path:
        """A directory for a further build, which does not exist yet."""
        number = 2
        while os.path.lexists(path := self.directory / f"{revision[:NAME_LENGTH]}-{number}"):
            number += 1
        return path

    def complete(self, revision: str) -> Path | None:
        """The complete build that counts, if there is one."""
        first = self.first(revision)
        paths = [first, *self.directory.glob(f"{first.name}-*")]
        found = [path for path in paths if path.is_dir() and self.record_of(path).exists()]
        return max(found, key=self._precedence, default=None)

    def _precedence(self, path: Path) -> tuple[bool, int]:
        file = self.record_of(path)
        return build_record.read(file).status == PROMOTED, file.stat().st_mtime_ns
