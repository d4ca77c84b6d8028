"""What every command is made of, and how one asks the supervisor."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import frozen

from blue_green.cli import display
from blue_green.cli.progress import Progress
from blue_green.cli.terminal import Look
from blue_green.config.error import ConfigError
from blue_green.control import client
from blue_green.preflight import other_sites
from blue_green.system.locate import control_socket
from blue_green.system.printable import printable

OK, FAILED, USAGE, NO_SUPERVISOR, INTERRUPTED = 0, 1, 2, 3, 130

DEFAULT_FILE = "supervisor.toml"


@frozen
class Command:
    """A command's name, help, arguments and what it does, in one place."""

    name: str
    help: str
    handle: Callable[[argparse.Namespace], int]
    """Does it; the exit status."""
    arguments: Callable[[argparse.ArgumentParser], None]
    example: str
    offers: Sequence[str] = ()
    """What completion offers in place of an argument, besides options."""


def say(text: str) -> None:
    """Print text without colours, line by line, with nothing for the terminal to act upon."""
    print("\n".join(map(printable, text.split("\n"))), flush=True)


def warn(text: str) -> None:
    """Say on standard error what somebody should know, or what is wrong."""
    sys.stdout.flush()
    lines = [f"blue-green: {printable(line)}" for line in text.splitlines()]
    print("\n".join(lines), file=sys.stderr)


def complain(text: str, status: int) -> int:
    """Say on standard error what is wrong; the exit status."""
    warn(text)
    return status


def file_argument(parser: argparse.ArgumentParser) -> None:
    """The settings file, for commands that read it themselves."""
    parser.add_argument(
        "file", nargs="?", type=Path, default=Path(DEFAULT_FILE), metavar="FILE",
        help=f"the settings (default: {DEFAULT_FILE})",
    )  # fmt: skip


def is_settings_file(word: str) -> bool:
    """Whether an argument that is none of ours is most likely meant as one."""
    return word.endswith(".toml") and not word.startswith("-")


# --- with the supervisor --------------------------------------------------------------------


def client_arguments(parser: argparse.ArgumentParser) -> None:
    """How the supervisor is found, and how its answer is shown."""
    parser.add_argument("--socket", metavar="PATH", help="the supervisor's control socket")
    parser.add_argument(
        "--config", metavar="FILE", help=f"find the socket in this file (default: {DEFAULT_FILE})"
    )
    parser.add_argument("--json", action="store_true", help="print JSON: one object, or one a line")


def socket_of(arguments: argparse.Namespace, warn_of_file: Callable[[str], None] = warn) -> Path:
    """The control socket: `--socket`, else `$BLUE_GREEN_SOCKET`, else as the settings name it.

    `warn_of_file` is called with what is wrong with these.
    """
    if arguments.socket is not None:
        return Path(arguments.socket)
    if named := os.environ.get("BLUE_GREEN_SOCKET"):
        return Path(named)
    file = Path(arguments.config or DEFAULT_FILE)
    wrong: list[str] = []
    place = control_socket(file, wrong.append, other_sites.socket_of)
    for text in wrong or _wrong_values(file, place):
        warn_of_file(text)
    return place


def _wrong_values(file: Path, place: Path) -> Iterator[str]:
    """What is wrong with a file that has changed since the supervisor opened its socket.

    Only then it is looked through: to load what checks settings takes longer than the command.
    """
    with suppress(OSError):
        if file.stat().st_ctime < place.lstat().st_mtime:
            return
        from blue_green.supervisor import settings_file  # noqa: PLC0415

        try:
            settings_file.load(file)
        except ConfigError as error:
            yield f"{error}\nthe supervisor goes on with the settings that it has"


def reject_file(arguments: argparse.Namespace, word: str | None) -> None:
    """End with wrong usage if a settings file was given in place of a revision."""
    if word is not None and is_settings_file(word) and Path(word).is_file():
        arguments.parser.error(f"{word} is a file: for a settings file, --config {word}")


def ask(arguments: argparse.Namespace, request: dict[str, Any]) -> dict[str, Any]:
    """The last object of the answer."""
    *_, result = client.ask(socket_of(arguments), request)
    return result


def follow(arguments: argparse.Namespace, request: dict[str, Any], good: Sequence[str]) -> int:
    """Show a swap as it happens; its end decides the exit status."""
    progress = Progress(sys.stdout, quiet=arguments.json)
    result: dict[str, Any] = {}
    try:
        for message in client.ask(socket_of(arguments), request):
            result = message
            progress.event(message)
    except KeyboardInterrupt:
        progress.leave()
        print("the swap goes on; `blue-green status` shows it", file=sys.stderr)
        return INTERRUPTED
    finally:
        progress.clear()
    if result["event"] == "error":
        return tell(arguments, result, "")
    outcome = result.get("outcome")
    if outcome is None:
        return tell(arguments, result, f"{result['revision'][:7]} is wanted")
    tell(arguments, result, lambda: "\n".join(display.receipt(result, Look.of(sys.stdout))))
    return OK if outcome in good else FAILED


def tell(
    arguments: argparse.Namespace, result: dict[str, Any], text: str | Callable[[], str]
) -> int:
    """Print a result, as text or as JSON; the exit status."""
    event = result.pop("event")
    if arguments.json:
        print(json.dumps(result))
    if event == "error":
        return complain(result["error"], USAGE if result["usage"] else FAILED)
    if not arguments.json:
        if isinstance(text, str):
            say(text)
        else:
            print(text())  # Made for this terminal, with its colours.
    return OK
