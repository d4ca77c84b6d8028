"""Declarations of commands, and their messages on standard output and error."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from attrs import frozen

from blue_green.system.printable import printable
from blue_green.system.running_supervisors import DEFAULT_FILE

OK, FAILED, USAGE, NO_SUPERVISOR, INTERRUPTED = 0, 1, 2, 3, 130
LONGEST_MESSAGE = 2000
"""Characters of a line on standard error."""


@frozen
class Command:
    """A command, declared in one place."""

    name: str
    help: str
    handle: Callable[[argparse.Namespace], int]
    """Runs the command, and returns its exit status."""
    arguments: Callable[[argparse.ArgumentParser], None]
    example: str
    offers: Sequence[str] = ()
    """Values of the positional argument that completion offers."""


class Parser(argparse.ArgumentParser):
    """Parses the command line; its messages quote only so much of it."""

    def error(self, message: str) -> NoReturn:
        super().error(bounded(message))


def say(text: str) -> None:
    """Print text with its control characters escaped, line by line."""
    print("\n".join(map(printable, text.split("\n"))), flush=True)


def warn(text: str) -> None:
    """Print a warning or an error on standard error."""
    sys.stdout.flush()
    lines = [f"blue-green: {printable(bounded(line))}" for line in text.splitlines()]
    print("\n".join(lines), file=sys.stderr)


def bounded(text: str) -> str:
    """A message that may quote an argument, which may be as long as a file."""
    if len(text) <= LONGEST_MESSAGE:
        return text
    half = LONGEST_MESSAGE // 2
    return f"{text[:half]} ... {text[-half:]}"


def complain(text: str, status: int) -> int:
    """Print an error, and return the exit status."""
    warn(text)
    return status


def file_argument(parser: argparse.ArgumentParser) -> None:
    """Add the settings file as an argument, for commands that read it themselves."""
    parser.add_argument(
        "file", nargs="?", type=Path, default=Path(DEFAULT_FILE), metavar="FILE",
        help=f"the settings file (default: {DEFAULT_FILE})",
    )  # fmt: skip


def is_settings_file(word: str) -> bool:
    """Whether an argument looks like the name of a settings file."""
    return word.endswith(".toml") and not word.startswith("-")
