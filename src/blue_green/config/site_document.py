"""The settings of one of several sites as they were read, before they are parsed."""

import glob
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from blue_green.config.kinds import of_type, shown
from blue_green.config.place import INCLUDE, SITES, Place, table_of

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
MAX_SITES = 1000
"""Files that `include` may match, and patterns in it."""


@frozen
class SiteDocument:
    """What is written about a site, and where."""

    name: str
    place: Place
    document: Mapping[str, Any]
    problems: Sequence[str] = ()
    """Why there is no document, one line each."""


def is_single(document: Mapping[str, Any]) -> bool:
    """Whether the main file is one site."""
    return INCLUDE not in document and SITES not in document


def include_patterns(document: Mapping[str, Any]) -> Sequence[str]:
    """The patterns in `include`; raise `ValueError`."""
    value = document.get(INCLUDE, [])
    read = of_type(str, 'a pattern such as "sites/*.toml"')
    if not isinstance(value, list):
        raise ValueError(f'must be a list of patterns such as ["sites/*.toml"], not {shown(value)}')
    if len(value) > MAX_SITES:
        raise ValueError(f"must have at most {MAX_SITES} patterns")
    patterns = [read(pattern) for pattern in value]
    for pattern in patterns:
        if not pattern or "\0" in pattern:
            raise ValueError("must not contain an empty pattern or a NUL character")
        if glob.has_magic(str(Path(pattern).parent)):
            raise ValueError(f"{shown(pattern)} may have wildcards only after the last slash")
    return patterns


def in_main_file(document: Mapping[str, Any], file: Path) -> Iterator[SiteDocument]:
    """The sites that are tables of the main file, `[sites.NAME]`."""
    tables = document.get(SITES, {})
    if not isinstance(tables, Mapping):
        return
    for name, table in tables.items():
        place = Place(file, table_of(name))
        if isinstance(table, Mapping):
            yield SiteDocument(name, place, table)
        else:
            why = f"{place}: must be a section with the settings of a site, not {shown(table)}"
            yield SiteDocument(name, place, {}, [why])


def bad_names(sites: Iterable[SiteDocument]) -> Iterator[tuple[str, str]]:
    """The names that cannot be used, each with the reason.

    The name becomes that of a directory. Of two sites with one name, neither can be used; of two
    whose names differ in case only, the later one cannot.
    """
    seen: dict[str, SiteDocument] = {}
    for site in sites:
        if not NAME.fullmatch(site.name):
            yield (
                site.name,
                f"{site.place}: {shown(site.name)} is not a name for a site: use at most 63 "
                "letters, digits, hyphens, underscores and dots, a letter or a digit first",
            )
        other = seen.setdefault(site.name.lower(), site)
        if other is not site:
            kind = (
                "with this name" if other.name == site.name else "whose name differs in case only"
            )
            yield (
                site.name,
                f"{site.place}: there is already a site {kind}: {other.place}; rename one",
            )
