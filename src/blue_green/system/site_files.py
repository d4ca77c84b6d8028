"""Find and read the files that `include` in the settings file names, one for each site."""

import fnmatch
import glob
import os
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from blue_green.config.error import ConfigError
from blue_green.config.place import INCLUDE, Place
from blue_green.config.site_document import MAX_SITES, SiteDocument, include_patterns
from blue_green.system import files, locate

SUFFIX = ".toml"
"""Of files that a pattern with wildcards matches: others are backups, or what an editor left."""
MAX_NAMES = 10_000
"""Entries of a directory that are compared with a pattern."""


def read(file: Path, document: Mapping[str, Any]) -> tuple[Sequence[SiteDocument], Sequence[str]]:
    """The sites that the settings file includes, and why others may be missing.

    A file that cannot be read is a site with problems. Paths are written as that of `file` is.
    """
    try:
        patterns = include_patterns(document)
    except ValueError:
        return (), ()  # The parser reports it.
    where = Place(file).key("", INCLUDE)
    found: dict[str, Path] = {}
    problems = []
    for pattern in patterns:
        try:
            paths = _matching(file, pattern)
        except OSError as error:
            problems.append(f"{where}: {pattern}: cannot list the directory: {error.strerror}")
        else:
            found |= {os.path.normpath(path): path for path in paths}
    found.pop(os.path.normpath(file), None)  # `*.toml` beside it matches it, too.
    if len(found) > MAX_SITES:
        problems.append(f"{where}: matches more than {MAX_SITES} files")
        return (), problems
    return [_read_site(path) for path in found.values()], problems


def unmatched(file: Path, document: Mapping[str, Any]) -> Sequence[str]:
    """The patterns in `include` that match no file, for example because they are misspelt."""
    try:
        return [name for name in include_patterns(document) if not _matching(file, name)]
    except (ValueError, OSError):
        return ()  # `read` reports it.


def _matching(file: Path, pattern: str) -> Sequence[Path]:
    """The files that a pattern matches, sorted. Wildcards match no hidden files.

    Raises `OSError` if the directory cannot be listed: a pattern that matches nothing would remove
    all sites.
    """
    path = file.parent / pattern
    if not glob.has_magic(path.name):
        return [path]
    try:
        with os.scandir(path.parent) as entries:
            names = [entry.name for entry in islice(entries, MAX_NAMES + 1)]
    except FileNotFoundError:
        return []
    if len(names) > MAX_NAMES:
        raise files.UnfitFile(f"it has more than {MAX_NAMES} entries", path.parent)
    found = [name for name in fnmatch.filter(names, path.name) if not name.startswith(".")]
    return [path.with_name(name) for name in sorted(found) if name.endswith(SUFFIX)]


def _read_site(path: Path) -> SiteDocument:
    place = Place(path)
    try:
        document = locate.read(path, hint="include names it")
        return SiteDocument(path.stem, place, document)
    except ConfigError as error:
        problems = error.problems
        if os.path.isdir(path):  # noqa: PTH112 - unlike is_dir(), it raises nothing
            problems = [f"{path}: is a directory; to include the files in it, add /*{SUFFIX}"]
        return SiteDocument(path.stem, place, {}, problems)
