"""The files of a checkout, and what they tell of its data."""

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath

from attrs import frozen

from blue_green.source.links import keeps_place
from blue_green.system import files

MAX_SIZE = 1024 * 1024
"""Bytes: larger files are not read."""
LINKABLE = (".env", "data", "instance", "media", "storage", "uploads")
"""Names that apps commonly keep next to their code and out of git."""
SAMPLES = (".env.example", ".env.sample", ".env.template", ".env.dist")
"""Names of the template that is committed in place of `.env`."""
DATABASE = re.compile(r"\w[\w.-]*\.(db|sqlite|sqlite3)")
NAMED = re.compile(
    r"""sqlite(?:\+\w+)?:///(?:\./)?(\w[\w./-]*)"""  # As a URL, relative to the app's directory.
    r"""|(?:sqlite3\.connect|new\s+(?:\w+\.)?Database)\(\s*["'](?:\./)?(\w[\w./-]*)["']"""
    r"""|sql\.Open\(\s*"sqlite3?",\s*"(?:file:)?(?:\./)?(\w[\w./-]*)"""
)
"""A program's mention of an SQLite database."""
INSTANCE = re.compile(r"instance_path|instance_relative_config|flask_sqlalchemy")
MOST_FILES = 300
HEALTH = re.compile(r"""["'](/(?:healthz?|livez|readyz|up|ping))/?["']""")


@frozen
class Checkout:
    """A work tree, and the names of its committed files."""

    path: Path
    tracked: frozenset[str]
    directory: str = ""
    """Its path in the work tree, if it is not the top: of one of several apps in a repository."""

    def has(self, name: str) -> bool:
        return (self.path / name).exists()

    def text(self, name: str) -> str:
        """The text of a file; empty if it does not exist, is too large, or is not text."""
        try:
            return files.read_text(self.path / name, MAX_SIZE)
        except (OSError, UnicodeDecodeError):
            return ""

    def first(self, *names: str) -> str | None:
        """The first of these that exists."""
        return next((name for name in names if self.has(name)), None)

    @property
    def databases(self) -> Sequence[str]:
        """SQLite databases at the top of the checkout."""
        names = [path.name for path in self.path.iterdir() if path.is_file()]
        return sorted(name for name in names if DATABASE.fullmatch(name))

    @property
    def links(self) -> Sequence[str]:
        """Uncommitted files and directories that every release is likely to need."""
        names = [name for name in LINKABLE if self.has(name)]
        if ".env" not in names and any(name in self.tracked for name in SAMPLES):
            names.append(".env")
        return [name for name in (*names, *self.databases) if name not in self.tracked]

    def with_data(self, links: Sequence[str], data: Sequence[str]) -> tuple[str, ...]:
        """Add the paths at which the app keeps data, whether they exist or not, to the links."""
        found = list(links)
        for name in data:
            path = PurePosixPath(name)
            places = {path, *path.parents}
            is_committed = str(path) in self.tracked and not keeps_place(name, self.tracked)
            if not is_committed and places.isdisjoint(map(PurePosixPath, found)):
                found.append(name)
        return tuple(found)

    def advice(self, data: Sequence[str]) -> Sequence[str]:
        """What to do about committed data, of which each release has its own copy."""
        names = [
            name
            for name in data
            if name.rstrip("/") in self.tracked and not keeps_place(name, self.tracked)
        ]
        return [
            f"the app writes {name}, which is in git: git rm -r --cached {name}" for name in names
        ]

    def of_its_own(self, pattern: str) -> Iterator[str]:
        """The committed files whose names match."""
        return (name for name in sorted(self.tracked) if re.fullmatch(pattern, name))


def data_of(checkout: Checkout, pattern: str) -> tuple[str, ...]:
    """The paths at which committed files whose names match keep data, as far as they name them."""
    found: dict[str, None] = {}
    for file in islice(checkout.of_its_own(pattern), MOST_FILES):
        text = checkout.text(file)
        if INSTANCE.search(text):
            found["instance/"] = None  # Flask's directory for data.
            continue
        for match in NAMED.finditer(text):
            name = match[1] or match[2] or match[3]
            if ".." not in PurePosixPath(name).parts:
                found[name] = None
    return tuple(found)


def health_path(text: str) -> str:
    """The health endpoint that a program seems to have, or else `/`."""
    match = HEALTH.search(text)
    return match[1] if match else "/"
