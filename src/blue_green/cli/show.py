"""Commands that show what runs, and what ran."""

import argparse
import json
import sys
from typing import Any

from blue_green.cli import display
from blue_green.cli.command import (
    FAILED,
    OK,
    Command,
    ask,
    client_arguments,
    complain,
    reject_file,
    socket_of,
    tell,
)
from blue_green.cli.terminal import Look
from blue_green.control import client

SLOTS = ("blue", "green")


def _status(arguments: argparse.Namespace) -> int:
    if arguments.watch:
        from blue_green.cli import watch_status  # noqa: PLC0415 - slow, and only for this

        return watch_status.watch(socket_of(arguments), as_json=arguments.json)
    result = ask(arguments, {"command": "status"})
    return tell(arguments, result, lambda: _text(display.status(result, Look.of(sys.stdout))))


def _history(arguments: argparse.Namespace) -> int:
    request = {"command": "history", "count": arguments.count}
    *receipts, result = client.ask(socket_of(arguments), request)
    for receipt in receipts:
        receipt.pop("event")
    if result["event"] == "result":
        result["swaps"] = receipts
    return tell(arguments, result, lambda: _text(display.history(receipts, Look.of(sys.stdout))))


def _logs(arguments: argparse.Namespace) -> int:
    reject_file(arguments, arguments.which)
    request = {
        "command": "logs",
        "which": arguments.which,
        "count": arguments.count,
        "follow": arguments.follow,
    }
    look = Look.of(sys.stdout)
    try:
        for message in client.ask(socket_of(arguments), request):
            if message["event"] == "error":
                return tell(arguments, message, "")
            if message["event"] == "lines":
                _show(message, look, as_json=arguments.json)
    except client.Lost as error:
        return complain("the supervisor has stopped" if arguments.follow else str(error), FAILED)
    except KeyboardInterrupt:
        if not arguments.follow:
            raise
    return OK


def _show(message: dict[str, Any], look: Look, *, as_json: bool) -> None:
    if message["lost"]:
        lost = f"{message['lost']} lines were lost: they are not read fast enough"
        print(f"blue-green: {lost}", file=sys.stderr)
    for line in message["lines"]:
        print(json.dumps(line) if as_json else display.output(line, look))
    sys.stdout.flush()


def _text(lines: list[str]) -> str:
    return "\n".join(lines)


def _status_arguments(parser: argparse.ArgumentParser) -> None:
    client_arguments(parser)
    parser.add_argument("--watch", action="store_true", help="keep it up to date, until ^C")


def _history_arguments(parser: argparse.ArgumentParser) -> None:
    client_arguments(parser)
    _count_argument(parser, 10, "how many swaps")


def _logs_arguments(parser: argparse.ArgumentParser) -> None:
    client_arguments(parser)
    parser.add_argument(
        "which",
        nargs="?",
        metavar="WHICH",
        help="only what blue, green, build or migrate wrote, or what belongs to this revision",
    )
    parser.add_argument("-f", "--follow", action="store_true", help="go on as lines come, until ^C")
    _count_argument(parser, 50, "how many lines to begin with")


def _count_argument(parser: argparse.ArgumentParser, default: int, what: str) -> None:
    parser.add_argument(
        "-n",
        "--count",
        type=int,
        default=default,
        metavar="NUMBER",
        help=f"{what} (default: {default})",
    )


COMMANDS = [
    Command(
        "status",
        "what runs, what is wanted, and how the last swaps went",
        _status,
        _status_arguments,
        "blue-green status --watch",
    ),
    Command(
        "history",
        "the last swaps: outcome, revision, who asked, receipt",
        _history,
        _history_arguments,
        "blue-green history -n 3",
    ),
    Command(
        "logs",
        "what backends, builds and migrations wrote",
        _logs,
        _logs_arguments,
        "blue-green logs --follow green",
        offers=(*SLOTS, "build", "migrate"),
    ),
]
