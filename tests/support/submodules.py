"""Submodules that are fetched from directories."""

from pathlib import Path

from tests.support.repository import Repository

FROM_FILES = ("-c", "protocol.file.allow=always")
"""As a developer here: git takes submodules from other directories only when told to."""


def at(path: Path) -> Repository:
    """The repository that is there already."""
    repository = Repository.__new__(Repository)
    repository.path = path
    return repository
