"""What is in a checkout, and what an app turned out to be."""

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Literal

from attrs import frozen

from blue_green.system import files

LARGEST = 1024 * 1024
"""Bytes up to which a file is read."""
LINKABLE = (".env", "data", "instance", "media", "storage", "uploads")
"""What apps keep beside their code and out of git."""
SAMPLES = (".env.example", ".env.sample", ".env.template", ".env.dist")
"""What is committed in place of `.env`."""
DATABASE = re.compile(r"\w[\w.-]*\.(db|sqlite|sqlite3)")
NAMED = re.compile(
    r"""sqlite(?:\+\w+)?:///(?:\./)?(\w[\w./-]*)"""  # As a url, relative to where the app runs.
    r"""|(?:sqlite3\.connect|new\s+(?:\w+\.)?Database)\(\s*["'](?:\./)?(\w[\w./-]*)["']"""
)
"""Where a program's text names a database of SQLite."""
INSTANCE = re.compile(r"instance_path|instance_relative_config|flask_sqlalchemy")
MOST_FILES = 300
HEALTH = re.compile(r"""["'](/(?:healthz?|livez|readyz|up|ping))/?["']""")


@frozen
class Checkout:
    """A work tree, and the names of all that is committed in it."""

    path: Path
    tracked: frozenset[str]

    def has(self, name: str) -> bool:
        return (self.path / name).exists()

    def text(self, name: str) -> str:
        """What is in a file; nothing if it is not there, is too large, or is no text."""
        try:
            return files.read_text(self.path / name, LARGEST)
        except (OSError, UnicodeDecodeError):
            return ""

    def first(self, *names: str) -> str | None:
        """The first of these that is there."""
        return next((name for name in names if self.has(name)), None)

    @property
    def databases(self) -> Sequence[str]:
        """Those of SQLite at its top."""
        names = [path.name for path in self.path.iterdir() if path.is_file()]
        return sorted(name for name in names if DATABASE.fullmatch(name))

    @property
    def links(self) -> Sequence[str]:
        """What is there and not committed, and every release is likely to need."""
        names = [name for name in LINKABLE if self.has(name)]
        if ".env" not in names and any(name in self.tracked for name in SAMPLES):
            names.append(".env")
        return [name for name in (*names, *self.databases) if name not in self.tracked]

    def with_data(self, links: Sequence[str], data: Sequence[str]) -> tuple[str, ...]:
        """The links, and the paths at which the app keeps data, whether they are there or not."""
        found = list(links)
        for name in data:
            path = PurePosixPath(name)
            places = {path, *path.parents}
            if str(path) not in self.tracked and places.isdisjoint(map(PurePosixPath, found)):
                found.append(name)
        return tuple(found)

    def advice(self, data: Sequence[str]) -> Sequence[str]:
        """What to do about data that is committed, which each release has its own copy of."""
        names = [name for name in data if name.rstrip("/") in self.tracked]
        return [f"the app writes {name}, and git has it: git rm -r --cached it" for name in names]

    def of_its_own(self, pattern: str) -> Iterator[str]:
        """The committed files whose names match."""
        return (name for name in sorted(self.tracked) if re.fullmatch(pattern, name))


@frozen
class App:
    """What starts an app, and what it needs."""

    kind: str
    because: str
    """What in the checkout says so."""
    command: tuple[str, ...]
    build: tuple[str, ...] = ()
    migrate: tuple[str, ...] = ()
    link: tuple[str, ...] = ()
    strategy: Literal["overlap", "exclusive"] = "overlap"
    why_strategy: str = ""
    path: str = "/"
    """What a probe asks for."""
    host: str = ""
    """The probe's Host header, if it needs one."""
    https: bool = False
    """It redirects what does not come over https."""
    advice: tuple[str, ...] = ()
    """What one should know before the first deploy."""


def data_of(checkout: Checkout, pattern: str) -> tuple[str, ...]:
    """Where the committed files whose names match keep data, as far as that stands in them."""
    found: dict[str, None] = {}
    for file in islice(checkout.of_its_own(pattern), MOST_FILES):
        text = checkout.text(file)
        if INSTANCE.search(text):
            found["instance/"] = None  # Flask's place for what is no code.
            continue
        for match in NAMED.finditer(text):
            name = match[1] or match[2]
            if ".." not in PurePosixPath(name).parts:
                found[name] = None
    return tuple(found)


def health_path(text: str) -> str:
    """The page for probes that a program seems to have, or else the first page."""
    match = HEALTH.search(text)
    return match[1] if match else "/"
