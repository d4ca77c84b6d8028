"""File names in git's output, which quotes unusual ones as in C (core.quotePath, git-config(1))."""

import ast
import os
from collections.abc import Sequence


def unquoted(name: str) -> str:
    """A name as it is in the file system."""
    if not name.startswith('"'):
        return name
    escaped = "".join(char if char.isascii() else _escaped(char) for char in name)
    return os.fsdecode(ast.literal_eval(f"b{escaped}"))


def lines(output: str) -> Sequence[str]:
    """All names in an output with one per line."""
    # Not `splitlines`: git does not quote other line separators of Unicode.
    return [unquoted(line) for line in output.split("\n") if line]


def _escaped(char: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(char))
