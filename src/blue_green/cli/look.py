"""Commands that show what runs."""

import argparse

from blue_green import display
from blue_green.cli.command import Command, ask, client_arguments, tell


def _status(arguments: argparse.Namespace) -> int:
    result = ask(arguments, {"command": "status"})
    return tell(arguments, result, lambda: display.status(result))


COMMANDS = [
    Command(
        "status",
        "what runs, what is wanted, and how the last swap went",
        _status,
        client_arguments,
        "blue-green status --json",
    ),
]
