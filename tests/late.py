"""Run tests against a copy of the program in which some background work is late.

    python -m tests.late [pytest arguments]     # without any: tests/end_to_end

A test that assumes, without waiting for it, that the log has been written, an old release has
retired or been removed, or the state file has been replaced passes on an idle machine and fails on
a busy one. Here it fails every time. The tests of the late parts themselves fail here, too.
"""

import ast
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from attrs import frozen

import blue_green

SOURCE = Path(blue_green.__file__).parent


_Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@frozen
class LatePart:
    """A function that begins with a delay in the copy."""

    file: str
    function: str
    """Its name, after that of its class if it is a method."""
    delay: str

    def insert_in(self, package: Path) -> None:
        """Put the delay into this copy; raise `LookupError` if the function is not there."""
        path = package / self.file
        text = path.read_text()
        first = _first_statement(ast.parse(text), self.function)
        if first is None:
            raise LookupError(f"{self.file} has no {self.function}: mend PARTS in tests/late.py")
        lines = text.splitlines(keepends=True)
        lines.insert(first.lineno - 1, f"{' ' * first.col_offset}{self.delay}\n")
        path.write_text("".join(lines))


PARTS = (
    LatePart("system/log.py", "Sink._write", "time.sleep(0.7)"),
    LatePart("site/retirement.py", "Retirement._run", "await trio.sleep(1)"),
    LatePart("site/old_releases.py", "prune", "await trio.sleep(1)"),
    LatePart("site/state_file.py", "StateFile._replace", "__import__('time').sleep(0.5)"),
)


def make_late_copy(directory: Path) -> None:
    """Copy the package into the directory, with every part late."""
    package = directory / SOURCE.name
    shutil.copytree(SOURCE, package, ignore=shutil.ignore_patterns("__pycache__"))
    for part in PARTS:
        part.insert_in(package)


def _first_statement(module: ast.Module, function: str) -> ast.stmt | None:
    """The first statement of a function, after its docstring."""
    found: ast.Module | _Definition = module
    for name in function.split("."):
        inner = (node for node in found.body if isinstance(node, _Definition) and node.name == name)
        if (definition := next(inner, None)) is None:
            return None
        found = definition
    return found.body[1 if ast.get_docstring(found) else 0]


def main() -> int:
    with tempfile.TemporaryDirectory() as directory:
        make_late_copy(Path(directory))
        arguments = sys.argv[1:] or ["tests/end_to_end"]
        env = {**os.environ, "PYTHONPATH": directory}
        command = [sys.executable, "-m", "pytest", *arguments]
        return subprocess.run(command, env=env, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
