"""The settings file, read and checked as a whole, with the files that it includes."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from blue_green.config.error import ConfigError
from blue_green.config.parsing import Parsed, parse_all
from blue_green.config.settings import Settings
from blue_green.config.site_document import SiteDocument
from blue_green.system import locate, site_files, users


def load(path: Path) -> Settings:
    """Read and check everything; raise `ConfigError` with all mistakes."""
    return _parsed(path).whole


def load_usable(path: Path) -> tuple[Settings, Mapping[str, list[str]]]:
    """Read and check everything, and leave out each site that has mistakes.

    Of two sites that contradict each other, the second one by name is left out, and of two with one
    name both are. Returns the settings with all other sites, and the mistakes of those that are
    left out, by name. Raises `ConfigError` with all mistakes if any is not of one of several sites.

    As root, it does not look into a file that other users can write: that might claim the hosts of
    other sites.
    """
    parsed = _parsed(path, only_trusted=os.geteuid() == 0)
    if parsed.settings is None or parsed.problems:
        raise ConfigError(parsed.every_problem)
    return parsed.settings, parsed.of_sites


def unmatched_patterns(path: Path) -> Sequence[str]:
    """The patterns in `include` that match no file; raise `ConfigError`."""
    return site_files.unmatched(path, locate.read(path))


def _parsed(path: Path, *, only_trusted: bool = False) -> Parsed:
    document = locate.read(path)
    included, problems = site_files.read(path, document)
    if only_trusted:
        included = [_if_trusted(site) for site in included]
    return parse_all(document, path, included, problems)


def _if_trusted(site: SiteDocument) -> SiteDocument:
    why_not = users.why_not_trusted(site.place.file)
    return attrs.evolve(site, document={}, problems=[why_not]) if why_not else site
