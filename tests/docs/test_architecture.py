"""`docs/architecture.md`, the map of the source, is up to date."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.docs.blocks import TOP

MAP = TOP / "docs" / "architecture.md"
SOURCE = TOP / "src" / "blue_green"
NAMED = sorted(set(re.findall(r"`([\w.-]+(?:/[\w.-]*)+|[\w-]+\.(?:md|toml))`", MAP.read_text())))


def exists(path: str) -> bool:
    """Paths are relative to the source, or to the top of the repository."""
    base = TOP if path.startswith(("tests/", "docs/", "src/")) or "/" not in path else SOURCE
    return (base / path).is_dir() if path.endswith("/") else (base / path).is_file()


@pytest.mark.parametrize("path", NAMED)
def test_every_file_on_the_map_exists(path: str) -> None:
    assert exists(path), f"{path} does not exist: correct docs/architecture.md"


def test_every_room_is_on_the_map() -> None:
    rows = re.findall(r"(?m)^\| `(\w+)/` \|", MAP.read_text())
    rooms = [path.name for path in SOURCE.iterdir() if (path / "__init__.py").is_file()]
    assert sorted(rows) == sorted(rooms)


def test_the_rooms_are_in_the_order_of_the_import_contract() -> None:
    rows = re.findall(r"(?m)^\| `(\w+)/` \|", MAP.read_text())
    settings = tomllib.loads((TOP / "pyproject.toml").read_text())
    contract = settings["tool"]["importlinter"]["contracts"][0]
    assert [layer for layer in contract["layers"] if layer in rows] == rows


def test_the_map_names_files_of_every_room() -> None:
    rooms = {Path(path).parts[0] for path in NAMED if path.endswith(".py")}
    assert {path.name for path in SOURCE.iterdir() if (path / "__init__.py").is_file()} <= rooms
