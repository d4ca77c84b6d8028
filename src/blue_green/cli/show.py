"""Commands that show sites and change nothing: `status`, `history`, `logs`."""

import argparse
import json
import re
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from blue_green.cli import site_list, swap_results
from blue_green.cli.command import FAILED, OK, Command, complain
from blue_green.cli.control_socket import socket_of
from blue_green.cli.request import (
    ask,
    ask_site,
    client_arguments,
    print_result,
    reject_file,
    site_arguments,
    where,
)
from blue_green.cli.terminal import Style
from blue_green.control import client

SLOTS = ("blue", "green")
PLAIN_NAME = re.compile(r"\w[\w./-]*")
NAMES_TIMEOUT = 1.0
"""Seconds to wait for the names of the sites while somebody waits for a completion."""


def _status(arguments: argparse.Namespace) -> int:
    reject_file(arguments, arguments.site)
    request = {"command": "status"}
    if arguments.site is not None:
        request["site"] = arguments.site
    if arguments.names or arguments.process_names or arguments.revision_names:
        return _print_names(arguments, request)
    if arguments.watch:
        from blue_green.cli import watch_status  # noqa: PLC0415 - slow to load

        return watch_status.watch(socket_of(arguments), request, as_json=arguments.json)
    result = ask(arguments, request)
    return print_result(
        arguments, result, lambda: _text(site_list.status(result, Style.of(sys.stdout)))
    )


def _print_names(arguments: argparse.Namespace, request: dict[str, Any]) -> int:
    """Print names for the shell's completion: of all sites, or of the processes or revisions of
    the one in the request, if there is one.

    Quickly, or not at all.
    """
    if arguments.revision_names:
        request = {"command": "revision-names", **where(arguments)}
    to = socket_of(arguments, None)
    *_, result = client.ask(to, request, timeout=NAMES_TIMEOUT)
    if result["event"] == "error":
        return FAILED
    if arguments.revision_names:
        names = result["names"]
    elif arguments.process_names:
        sites = result.get("sites", {"": result}).values()
        found = [one["name"] for site in sites for one in site.get("processes", ())]
        names = list(dict.fromkeys(found))
    else:
        names = result["sites"] if "sites" in result else [result["name"]]
    # A shell would expand others, and the name of a single site may be any text.
    print("".join(f"{name}\n" for name in names if PLAIN_NAME.fullmatch(name)), end="")
    return OK


def _history(arguments: argparse.Namespace) -> int:
    request = {"command": "history", "count": arguments.count}
    *receipts, result = ask_site(arguments, request)
    for receipt in receipts:
        receipt.pop("event")
    if result["event"] == "result":
        result["swaps"] = receipts
    return print_result(
        arguments, result, lambda: _text(swap_results.history(receipts, Style.of(sys.stdout)))
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
        for message in ask_site(arguments, request):
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
        print(json.dumps(line) if as_json else output_line(line, style))
    sys.stdout.flush()


def _text(lines: list[str]) -> str:
    return "\n".join(lines)


def _status_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "site", nargs="?", default=argparse.SUPPRESS, metavar="SITE",
        help="show this site in full (default: one line for each site, if there are several)",
    )  # fmt: skip
    parser.add_argument("--site", metavar="SITE", help="the same")
    client_arguments(parser)
    parser.add_argument("--watch", action="store_true", help="refresh every second, until ^C")
    parser.add_argument("--names", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--process-names", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--revision-names", action="store_true", help=argparse.SUPPRESS)


def _history_arguments(parser: argparse.ArgumentParser) -> None:
    site_arguments(parser)
    _count_argument(parser, 10, "number of swaps")


def _logs_arguments(parser: argparse.ArgumentParser) -> None:
    site_arguments(parser)
    parser.add_argument(
        "which",
        nargs="?",
        metavar="WHICH",
        help="only output of blue, green, build or migrate, of this process, or of this revision "
        "(default: all)",
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
        "show all sites, or one: what runs, why HEAD is not live if it is not, the last swaps",
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
        "show the output of backends, processes, builds and migrations",
        _logs,
        _logs_arguments,
        "blue-green logs --follow green",
        offers=(*SLOTS, "build", "migrate"),
    ),
]


def output_line(line: Mapping[str, Any], style: Style) -> str:
    """A line of output, with its time and source."""
    clock = datetime.fromisoformat(line["at"]).astimezone().strftime("%H:%M:%S.%f")[:-3]
    source = f"{line['source']} {line['revision'][:7]}"
    colour = {"blue": "cyan", "green": "green"}.get(line["source"], "yellow")
    text = (line["text"], "red") if line["is_error"] else line["text"]
    # Output is never truncated: the terminal wraps long lines.
    unbounded = Style(colour=style.colour, unicode=style.unicode)
    return unbounded.line((clock, "dim"), " ", (source, colour), (" | ", "dim"), text)
