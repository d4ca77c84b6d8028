"""Tests stand where `tests/__init__.py` says, and their libraries stay independent."""

import ast
from collections.abc import Iterator
from pathlib import Path

import blue_green

SOURCE = Path(blue_green.__file__).parent
TESTS = Path(__file__).parents[1]


def mirrored_directories() -> Iterator[Path]:
    """The directories of tests that a directory of the source has its tests in."""
    for path in SOURCE.rglob("__init__.py"):
        if path.parent != SOURCE:
            yield TESTS / path.parent.relative_to(SOURCE)


def imports_of(path: Path) -> set[str]:
    """The modules that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
    return found


def mirrors_a_source_file(test: Path) -> bool:
    """Whether it is `test_FILE.py` or `test_FILE_ASPECT.py` of a file in its room."""
    name = test.stem.removeprefix("test_")
    room = SOURCE / test.parent.relative_to(TESTS)
    files = [room.name, *(path.stem for path in room.glob("*.py"))]
    return any(name == file or name.startswith(f"{file}_") for file in files)


def test_whole_program_tests_that_mirror_no_source_file_are_in_end_to_end() -> None:
    misplaced = [
        str(test.relative_to(TESTS))
        for room in mirrored_directories()
        for test in room.glob("test_*.py")
        if not mirrors_a_source_file(test) and "tests.support.site.RealSite" in imports_of(test)
    ]
    assert misplaced == []


def test_each_directory_of_tests_is_one_of_the_source_or_explained() -> None:
    explanation = (TESTS / "__init__.py").read_text()
    rooms = set(mirrored_directories())
    others = [path.name for path in TESTS.iterdir() if path.is_dir() and path not in rooms]
    named = [name for name in others if not name.startswith("__")]
    assert [name for name in named if f"`{name}`" not in explanation.replace("tests.", "")] == []


def test_the_raw_bytes_library_imports_no_end_to_end_helpers() -> None:
    allowed = ("tests.raw", "tests.waiting")
    imported = {name for path in (TESTS / "raw").glob("*.py") for name in imports_of(path)}
    ours = {name for name in imported if name.partition(".")[0] == "tests"}
    assert [name for name in ours if not name.startswith(allowed)] == []


def test_nothing_is_imported_from_a_test_file() -> None:
    """What two test files need is in a library."""
    borrowed = {
        str(path.relative_to(TESTS)): name
        for path in TESTS.rglob("*.py")
        for name in imports_of(path)
        if name.startswith("tests.") and ".test_" in name
    }
    assert borrowed == {}


def test_tests_use_public_names_only() -> None:
    private = {
        f"{path.relative_to(TESTS)}:{node.lineno} {ast.unparse(node)}"
        for path in TESTS.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and is_private(node)
    }
    assert private == set()


def is_private(attribute: ast.Attribute) -> bool:
    """Whether it is somebody else's name with an underscore before it (`os._exit` is public)."""
    name, owner = attribute.attr, ast.unparse(attribute.value)
    starts_private = name.startswith("_") and not name.startswith("__")
    return starts_private and owner not in ("self", "cls") and (owner, name) != ("os", "_exit")


def test_what_belongs_to_one_site_runs_in_threads_of_that_site() -> None:
    """A file system that hangs must not take the threads that other sites need."""
    rooms = (SOURCE / "site", SOURCE / "source")
    files = [path for room in rooms for path in room.glob("*.py")]
    assert [path.name for path in files if "to_thread" in path.read_text()] == []
