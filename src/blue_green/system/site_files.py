"""Find and read the files that `include` in the settings file names, one for each site."""

import glob
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from blue_green.config.error import ConfigError
from blue_green.config.place import INCLUDE, Place
from blue_green.config.site_document import MAX_SITES, SiteDocument, include_patterns
from blue_green.system import locate

SUFFIX = ".toml"
"""Of files that a pattern with wildcards matches: others are backups, or what an editor left."""


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
            for name in islice(_matches(file, pattern), MAX_SITES + 1):
                path = file.parent / name
                found.setdefault(os.path.normpath(path), path)
        except OSError as error:
            problems.append(f"{where}: {pattern} cannot be looked for: {error.strerror}")
    if len(found) > MAX_SITES:
        problems.append(f"{where}: matches more than {MAX_SITES} files")
        return (), problems
    return [_read_site(path) for path in found.values()], problems


def _matches(file: Path, pattern: str) -> Iterator[str]:
    """The paths that a pattern matches, relative to the directory of the settings file.

    Hidden files are not matched by wildcards, and the settings file itself is left out. Raises
    `OSError` if the directory cannot be listed.
    """
    if not glob.has_magic(pattern):
        yield pattern
        return
    parts = Path(pattern).parts
    first = next(at for at, part in enumerate(parts) if glob.has_magic(part))
    directory = file.parent.joinpath(*parts[:first])
    try:
        os.scandir(directory).close()  # A directory that we may not read would match nothing.
    except FileNotFoundError:
        return
    own = os.path.normpath(file)
    # Not Path.glob, whose wildcards match hidden files.
    found = glob.iglob(pattern, root_dir=file.parent)  # noqa: PTH207
    for name in sorted(islice(found, 10 * MAX_SITES)):
        if name.endswith(SUFFIX) and os.path.normpath(file.parent / name) != own:
            yield name


def _read_site(path: Path) -> SiteDocument:
    place = Place(path)
    try:
        document = locate.read(path, hint="include names it")
        return SiteDocument(path.stem, place, document)
    except ConfigError as error:
        problems = error.problems
        if path.is_dir():
            problems = [f"{path}: is a directory; to include the files in it, add /*{SUFFIX}"]
        return SiteDocument(path.stem, place, {}, problems)
