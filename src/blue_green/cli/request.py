"""Requests to the supervisor: how it is found, and how its answers are printed."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from blue_green.cli import display
from blue_green.cli.command import (
    FAILED,
    INTERRUPTED,
    OK,
    USAGE,
    complain,
    is_settings_file,
    say,
    warn,
)
from blue_green.cli.progress import Progress
from blue_green.cli.terminal import Style
from blue_green.config.error import ConfigError
from blue_green.control import client
from blue_green.system import other_sites
from blue_green.system.locate import control_socket
from blue_green.system.other_sites import DEFAULT_FILE


def client_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how to find the supervisor, and how to print its answer."""
    parser.add_argument("--socket", metavar="PATH", help="the supervisor's control socket")
    parser.add_argument(
        "--config",
        metavar="FILE",
        help=f"the settings file that names the socket (default: {DEFAULT_FILE})",
    )
    parser.add_argument(
        "--json", action="store_true", help="print JSON: one object, or one per line"
    )


def socket_of(arguments: argparse.Namespace, warn_of_file: Callable[[str], None] = warn) -> Path:
    """The control socket: from `--socket`, else `$BLUE_GREEN_SOCKET`, else the settings file.

    Problems with the file are passed to `warn_of_file`.
    """
    if arguments.socket is not None:
        return Path(arguments.socket)
    if named := os.environ.get("BLUE_GREEN_SOCKET"):
        return Path(named)
    file = Path(arguments.config or DEFAULT_FILE)
    problems: list[str] = []
    path = control_socket(file, problems.append, other_sites.socket_of)
    for text in problems or _invalid_settings(file, path):
        warn_of_file(text)
    return path


def _invalid_settings(file: Path, path: Path) -> Iterator[str]:
    """What is wrong with the file, if it has changed since the supervisor opened its socket.

    Otherwise it is not parsed: to load the parser takes longer than the command itself.
    """
    with suppress(OSError):
        if file.stat().st_ctime < path.lstat().st_mtime:
            return
        from blue_green.supervisor import settings_file  # noqa: PLC0415

        try:
            settings_file.load(file)
        except ConfigError as error:
            yield f"{error}\nthe running supervisor keeps its current settings"


def reject_file(arguments: argparse.Namespace, word: str | None) -> None:
    """Exit with a usage error if a settings file was given in place of a revision."""
    if word is not None and is_settings_file(word) and Path(word).is_file():
        arguments.parser.error(f"{word} is a file: to name a settings file, use --config {word}")


def ask(arguments: argparse.Namespace, request: dict[str, Any]) -> dict[str, Any]:
    """Send a request, and return the last object of the answer."""
    *_, result = client.ask(socket_of(arguments), request)
    return result


def follow(arguments: argparse.Namespace, request: dict[str, Any], good: Sequence[str]) -> int:
    """Show a swap as it happens; an outcome in `good` is exit status 0."""
    progress = Progress(sys.stdout, quiet=arguments.json)
    result: dict[str, Any] = {}
    try:
        for message in client.ask(socket_of(arguments), request):
            result = message
            progress.event(message)
    except KeyboardInterrupt:
        progress.leave()
        print("the swap continues; `blue-green status` shows it", file=sys.stderr)
        return INTERRUPTED
    finally:
        progress.clear()
    if result["event"] == "error":
        return print_result(arguments, result, "")
    outcome = result.get("outcome")
    if outcome is None:
        return print_result(arguments, result, f"{result['revision'][:7]} is queued")
    print_result(
        arguments, result, lambda: "\n".join(display.receipt(result, Style.of(sys.stdout)))
    )
    return OK if outcome in good else FAILED


def print_result(
    arguments: argparse.Namespace, result: dict[str, Any], text: str | Callable[[], str]
) -> int:
    """Print a result as text or as JSON, and return the exit status."""
    event = result.pop("event")
    if arguments.json:
        print(json.dumps(result))
    if event == "error":
        return complain(result["error"], USAGE if result["usage"] else FAILED)
    if not arguments.json:
        if isinstance(text, str):
            say(text)
        else:
            print(text())  # Made for this terminal, with its colours: escaped already.
    return OK
