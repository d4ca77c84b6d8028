"""The sites in a settings file, which may be wrong, or of another version of this program."""

import fnmatch
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from attrs import frozen

from blue_green.config.error import ConfigError
from blue_green.system import locate

MAX_FILES = 1000
"""Included files to read, and names to examine in one directory."""


@frozen
class SiteTable:
    """The settings of one site as they are written."""

    name: str
    """Empty for the site of a file with `[app]` at its top."""
    file: Path
    values: Mapping[str, Any]

    @property
    def checkout(self) -> Path:
        named = table(self.values, "git").get("checkout", ".")
        return Path(os.path.normpath(self.file.absolute().parent / str(named)))


def sites_in(document: Mapping[str, Any], file: Path) -> Sequence[SiteTable]:
    """The sites in a document that `file` held; included files that are unreadable are left out."""
    if "app" in document:
        return [SiteTable("", file, document)]
    here = [
        SiteTable(name, file, values)
        for name, values in table(document, "sites").items()
        if isinstance(values, dict)
    ]
    return [*here, *_included(document, file)]


def included_files(document: Mapping[str, Any], file: Path) -> Sequence[Path]:
    """The files that its `include` names, in order."""
    patterns = document.get("include", [])
    patterns = [patterns] if isinstance(patterns, str) else patterns
    found: dict[Path, None] = {}
    for pattern in patterns if isinstance(patterns, list) else []:
        with suppress(OSError, ValueError):
            found |= dict.fromkeys(_matching(file.absolute().parent / str(pattern)))
    return list(islice(found, MAX_FILES))


def _included(document: Mapping[str, Any], file: Path) -> Iterator[SiteTable]:
    for path in included_files(document, file):
        with suppress(ConfigError):
            yield SiteTable(path.stem, path, locate.read(path))


def _matching(pattern: Path) -> Sequence[Path]:
    """The files of a pattern, which has wildcards only in its last component."""
    with os.scandir(pattern.parent) as entries:
        names = [entry.name for entry in islice(entries, MAX_FILES)]
    found = sorted(fnmatch.filter(names, pattern.name))
    return [pattern.with_name(name) for name in found if name.endswith(".toml")]


def table(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The table of this name; empty if there is none."""
    value = values.get(name)
    return value if isinstance(value, dict) else {}
