"""Where the documents are that messages refer to: with the package, or beside it in a clone."""

from pathlib import Path

_PLACES = (Path(__file__).parents[1] / "docs", Path(__file__).parents[3] / "docs")


def path_of(name: str) -> str:
    """The path of a document such as `settings.md`, that whoever reads a message can open."""
    found = (directory / name for directory in _PLACES)
    return str(next((path for path in found if path.is_file()), f"docs/{name}"))
