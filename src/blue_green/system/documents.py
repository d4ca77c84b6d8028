"""Paths of documents and of systemd's units: in the package, or beside it in a clone."""

from collections.abc import Sequence
from pathlib import Path

_PACKAGE, _CLONE = Path(__file__).parents[1], Path(__file__).parents[3]


def path_of(name: str) -> str:
    """The path of a document such as `settings.md`, which the reader of a message can open."""
    found = (directory / "docs" / name for directory in (_PACKAGE, _CLONE))
    return str(next((path for path in found if path.is_file()), f"docs/{name}"))


def deploy_file(name: str) -> Path:
    """The path of a file for the system's administrator, such as `blue-green.service`."""
    inside = _PACKAGE / "deploy" / name
    return inside if inside.is_file() else _CLONE / "deploy" / name


def deploy_files() -> Sequence[Path]:
    """The paths of all of them."""
    return sorted(deploy_file("blue-green.service").parent.iterdir())
