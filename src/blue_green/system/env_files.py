"""Read files with environment variables (`[app] env_file`), in the syntax of python-dotenv.

Two things differ from python-dotenv. `${NAME}` refers to a variable of a line above it, also in an
earlier file, and to nothing else: our own environment may be root's. In single quotes it has no
meaning, as in a shell.

The values are secrets: an error names the file and the line, and nothing that is in them.
"""

import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import partial
from io import StringIO
from pathlib import Path

from attrs import frozen

from blue_green.system import files, users

MAX_SIZE = 1024 * 1024
"""Bytes of a file, and of all variables together: execve(2) allows about twice as much."""
MAX_VARIABLE = 128 * 1024 - 1
"""Bytes of `NAME=value` (MAX_ARG_STRLEN, execve(2))."""
MAX_LINES = 10_000
"""The parser takes about 0.1 s for these."""
TOO_MANY_BLANKS = re.compile(r"[^\S\r\n]{201}")
"""The parser takes quadratic time for blanks in a row."""
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class BadEnvFile(Exception):
    """A file cannot be used; str() says why."""


@frozen
class _Assignment:
    number: int
    name: str
    value: str
    is_literal: bool
    """It is in single quotes."""


class _BadLine(Exception):
    """What is wrong with a line, without its content."""


def read(paths: Iterable[Path], may_own: Collection[int] = ()) -> dict[str, str]:
    """The variables in these files, of which later ones take precedence; raise `BadEnvFile`.

    As root, each file must belong to root or to one of the users in `may_own`, and nobody else may
    be able to change it or to put another one in its place. Waits for the disk.
    """
    variables: dict[str, str] = {}
    for path in paths:
        _read_file(path, may_own, variables)
    return variables


def _read_file(path: Path, may_own: Collection[int], variables: dict[str, str]) -> None:
    try:
        text = files.read_text(path, MAX_SIZE, check=partial(_check, path, may_own))
    except OSError as error:
        raise BadEnvFile(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        number = error.object.count(b"\n", 0, error.start) + 1
        raise BadEnvFile(f"{path}, line {number}: is not UTF-8") from None
    if text.count("\n") > MAX_LINES:
        raise BadEnvFile(f"{path}: has more than {MAX_LINES} lines")
    if found := TOO_MANY_BLANKS.search(text):
        number = text.count("\n", 0, found.start()) + 1
        raise BadEnvFile(f"{path}, line {number}: has more than 200 blanks in a row")
    room = MAX_SIZE - sum(len(name) + len(value) for name, value in variables.items())
    for line in _lines(text, path):
        try:
            value = line.value if line.is_literal else _filled_in(line.value, variables)
            _check_variable(line.name, value)
            room -= len(line.name) + len(value)
            if room < 0:
                raise _BadLine(f"up to here, the variables have more than {MAX_SIZE} bytes")
        except _BadLine as why:
            raise BadEnvFile(f"{path}, line {line.number}: {why}") from None
        variables[line.name] = value


def _check(path: Path, may_own: Collection[int], status: os.stat_result) -> None:
    """Raise `UnfitFile` if a user who must not decide about these variables could."""
    if os.geteuid() != 0:
        if status.st_mode & stat.S_IWOTH:
            raise files.UnfitFile(f"every user can write it: chmod o-w {path}", path)
        return
    if status.st_uid not in {0, *may_own}:
        raise files.UnfitFile(
            "it belongs neither to root nor to the user of the app or of the settings: chown root "
            f"{path}",
            path,
        )
    # Whoever can change a part of the path could name a file that only root can read.
    if unsafe := users.writable_by_others(path, status.st_uid):
        raise files.UnfitFile(
            f"users other than its owner can write {unsafe}: chmod go-w {unsafe}, and it must "
            "belong to that owner or to root",
            path,
        )


def _lines(text: str, path: Path) -> Iterator[_Assignment]:
    # Most sites have no such files, and loading it takes a while.
    from dotenv.parser import parse_stream  # noqa: PLC0415

    for binding in parse_stream(StringIO(text)):
        written = binding.original.string
        blank = len(written) - len(written.lstrip())
        number = binding.original.line + written.count("\n", 0, blank)
        if binding.error or (binding.key is not None and binding.value is None):
            raise BadEnvFile(f"{path}, line {number}: is not NAME=value")
        if binding.key is not None and binding.value is not None:
            is_literal = written.partition("=")[2].lstrip().startswith("'")
            yield _Assignment(number, binding.key, binding.value, is_literal)


def _filled_in(value: str, variables: Mapping[str, str]) -> str:
    """The value, with `${NAME}` and `${NAME:-default}` replaced."""
    parts, at, size = [], 0, 0
    while (begin := value.find("${", at)) >= 0 and (end := value.find("}", begin)) >= 0:
        name, has_default, default = value[begin + 2 : end].partition(":-")
        if not NAME.fullmatch(name):
            raise _BadLine("has ${ without a name; in single quotes, that has no meaning")
        if name not in variables and not has_default:
            raise _BadLine("refers to a variable that no line above it sets")
        parts += [value[at:begin], variables.get(name, default)]
        size += len(parts[-1])
        if size > MAX_VARIABLE:
            break
        at = end + 1
    return "".join([*parts, value[at:]])


def _check_variable(name: str, value: str) -> None:
    if not NAME.fullmatch(name):
        raise _BadLine("the name may only have letters, digits and _, and not begin with a digit")
    if "\0" in value:
        raise _BadLine("the value has a NUL, which no environment can have")
    if len(name) + 1 + len(value.encode()) > MAX_VARIABLE:
        raise _BadLine(f"is longer than {MAX_VARIABLE} bytes")
