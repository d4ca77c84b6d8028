"""Commands that show the site and change nothing: `status`, `history`, `logs`."""

import argparse
import json
import sys
from typing import Any

from blue_green.cli import display
from blue_green.cli.command import FAILED, OK, Command, complain
from blue_green.cli.request import ask, client_arguments, print_result, reject_file, socket_of
from blue_green.cli.terminal import Style
from blue_green.control import client

SLOTS = ("blue", "green")


def _status(arguments: argparse.Namespace) -> int:
    if arguments.watch:
        from blue_green.cli import watch_status  # noqa: PLC0415 - slow to load

        return watch_status.watch(socket_of(arguments), as_json=arguments.json)
    result = ask(arguments, {"command": "status"})
    return print_result(
        arguments, result, lambda: _text(display.status(result, Style.of(sys.stdout)))
    )


def _history(arguments: argparse.Namespace) -> int:
    request = {"command": "history", "count": arguments.count}
    *receipts, result = client.ask(socket_of(arguments), request)
    for receipt in receipts:
        receipt.pop("event")
    if result["event"] == "result":
        result["swaps"] = receipts
    return print_result(
        arguments, result, lambda: _text(display.history(receipts, Style.of(sys.stdout)))
    )


def _logs(arguments: argparse.Namespace) -> int:
    reject_file(arguments, arguments.which)
    request = {
        "command": "logs",
        "which": arguments.which,
        "count": arguments.count,
        "follow": arguments.follow,
    }
    style = Style.of(sys.stdout)
    try:
        for message in client.ask(socket_of(arguments), request):
            if message["event"] == "error":
                return print_result(arguments, message, "")
            if message["event"] == "lines":
                _show(message, style, as_json=arguments.json)
    except client.ConnectionLost as error:
        return complain("the supervisor has stopped" if arguments.follow else str(error), FAILED)
    except KeyboardInterrupt:
        if not arguments.follow:
            raise
    return OK


def _show(message: dict[str, Any], style: Style, *, as_json: bool) -> None:
    if message["lost"]:
        lost = message["lost"]
        lines = "1 line was" if lost == 1 else f"{lost} lines were"
        print(f"blue-green: {lines} lost: they were not read fast enough", file=sys.stderr)
    for line in message["lines"]:
        print(json.dumps(line) if as_json else display.output(line, style))
    sys.stdout.flush()


def _text(lines: list[str]) -> str:
    return "\n".join(lines)


def _status_arguments(parser: argparse.ArgumentParser) -> None:
    client_arguments(parser)
    parser.add_argument("--watch", action="store_true", help="refresh every second, until ^C")


def _history_arguments(parser: argparse.ArgumentParser) -> None:
    client_arguments(parser)
    _count_argument(parser, 10, "number of swaps")


def _logs_arguments(parser: argparse.ArgumentParser) -> None:
    client_arguments(parser)
    parser.add_argument(
        "which",
        nargs="?",
        metavar="WHICH",
        help="only output of blue, green, build or migrate, or of this revision (default: all)",
    )
    parser.add_argument(
        "-f", "--follow", action="store_true", help="keep printing new lines, until ^C"
    )
    _count_argument(parser, 50, "number of lines to start with")


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
        "show what runs, why HEAD is not live if it is not, and the last swaps",
        _status,
        _status_arguments,
        "blue-green status --watch",
    ),
    Command(
        "history",
        "show the last swaps: outcome, revision, trigger and receipt",
        _history,
        _history_arguments,
        "blue-green history -n 3",
    ),
    Command(
        "logs",
        "show the output of backends, builds and migrations",
        _logs,
        _logs_arguments,
        "blue-green logs --follow green",
        offers=(*SLOTS, "build", "migrate"),
    ),
]
