"""Paths of the documents that messages refer to: in the package, or beside it in a clone."""

from pathlib import Path

_PLACES = (Path(__file__).parents[1] / "docs", Path(__file__).parents[3] / "docs")


def path_of(name: str) -> str:
    """The path of a document such as `settings.md`, which the reader of a message can open."""
    found = (directory / name for directory in _PLACES)
    return str(next((path for path in found if path.is_file()), f"docs/{name}"))
