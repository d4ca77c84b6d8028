"""Where settings are written, as messages name it."""

import re
from pathlib import Path

from attrs import frozen

SITES = "sites"
"""The table of the sites in a file with several, `[sites.NAME]`."""
INCLUDE = "include"
"""The key with the patterns of further files, each with one site."""
BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


@frozen
class Place:
    """A whole file, or the table of one site in the main file."""

    file: Path
    """As the user named it."""
    table: str = ""
    """Such as `sites.blog`; empty for a whole file."""

    def header(self, section: str) -> str:
        """A section in brackets; empty for the keys before the first section of a file."""
        name = ".".join(part for part in (self.table, section) if part)
        return f"[{name}]" if name else ""

    def key(self, section: str, key: str = "") -> str:
        """The beginning of a message: `sites/blog.toml: [app] command`."""
        return f"{self.file}: {' '.join(part for part in (self.header(section), key) if part)}"

    def __str__(self) -> str:
        return f"{self.file}: [{self.table}]" if self.table else str(self.file)


def table_of(name: str) -> str:
    """The table of a site in the main file, as TOML writes it: `sites."blog.example.com"`."""
    return f"{SITES}.{name}" if BARE_KEY.fullmatch(name) else f'{SITES}."{name}"'
