"""The settings file, read and checked as a whole."""

from pathlib import Path

from blue_green.config.parsing import parse
from blue_green.config.settings import Settings
from blue_green.system import locate


def load(path: Path) -> Settings:
    """Read and check the file; raise `ConfigError` with all its mistakes."""
    return parse(locate.read(path), path)
