"""A release: a revision in a directory of its own."""

from collections.abc import Mapping
from pathlib import Path

from attrs import frozen


@frozen
class Release:
    """A revision and the directory in which it runs."""

    revision: str
    path: Path
    env: Mapping[str, str] = {}
    """Additional environment variables of programs that run in it."""
