"""A release: a revision in a directory of its own."""

from pathlib import Path

from attrs import frozen


@frozen
class Release:
    """A revision and the directory in which it runs."""

    revision: str
    path: Path
