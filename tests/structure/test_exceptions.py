"""How exceptions are raised."""

import ast
from pathlib import Path

import blue_green

SOURCE = Path(blue_green.__file__).parent


def raised_constants(path: Path) -> list[str]:
    """The constants of a module that are raised in it."""
    nodes = ast.walk(ast.parse(path.read_text()))
    raised = [node.exc for node in nodes if isinstance(node, ast.Raise)]
    return [name.id for name in raised if isinstance(name, ast.Name) and name.id.isupper()]


def test_no_exception_is_raised_twice() -> None:
    """Each time, its traceback grows, and with it what the frames in there refer to."""
    found = {path.name: raised_constants(path) for path in SOURCE.rglob("*.py")}
    assert {name: names for name, names in found.items() if names} == {}
