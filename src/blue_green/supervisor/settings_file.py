"""The settings file, read and checked as a whole, with the files that it includes."""

from collections.abc import Mapping
from pathlib import Path

from blue_green.config.error import ConfigError
from blue_green.config.parsing import Parsed, parse_all
from blue_green.config.settings import Settings
from blue_green.system import locate, site_files


def load(path: Path) -> Settings:
    """Read and check everything; raise `ConfigError` with all mistakes."""
    return _parsed(path).whole


def load_usable(path: Path) -> tuple[Settings, Mapping[str, list[str]]]:
    """Read and check everything, and leave out each site that has mistakes.

    Of two sites that contradict each other, the second one by name is left out, and of two with one
    name both are. Returns the settings with all other sites, and the mistakes of those that are
    left out, by name. Raises `ConfigError` for mistakes that are not of one of several sites.
    """
    parsed = _parsed(path)
    if parsed.settings is None or parsed.problems:
        raise ConfigError(parsed.problems)
    return parsed.settings, parsed.of_sites


def _parsed(path: Path) -> Parsed:
    document = locate.read(path)
    included, problems = site_files.read(path, document)
    return parse_all(document, path, included, problems)
