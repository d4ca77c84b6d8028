"""Commands that change what runs, such as `swap` and `reload`."""

import argparse
from collections.abc import Sequence
from itertools import starmap
from typing import Any

from blue_green.cli.command import USAGE, Command, complain
from blue_green.cli.control_socket import socket_of
from blue_green.cli.option_values import named, seconds_of
from blue_green.cli.request import (
    ask,
    ask_site,
    client_arguments,
    follow,
    print_result,
    reject_file,
    site_arguments,
)
from blue_green.config import change_text
from blue_green.control import client

GONE_BACK = ("promoted", "unchanged", "reverted", "aborted")
"""Outcomes of a rollback that is done."""


def _swap(arguments: argparse.Namespace) -> int:
    reject_file(arguments, arguments.revision)
    request = {
        "command": "swap",
        "revision": arguments.revision,
        "retry": arguments.retry,
        "rebuild": arguments.rebuild,
        "wait": not arguments.no_wait,
    }
    # An older supervisor would refuse what is not given.
    if arguments.output:
        request["output"] = True
    try:
        request |= _trial(arguments)
    except ValueError as error:
        return complain(str(error), USAGE)
    return follow(arguments, request, good=("promoted", "unchanged"))


def _trial(arguments: argparse.Namespace) -> dict[str, Any]:
    """The arguments for a canary or a preview; raise `ValueError`."""
    from blue_green.config.kinds import percent  # noqa: PLC0415 - slow to load

    request: dict[str, Any] = {}
    if arguments.canary is not None:
        request["canary"] = named("--canary", percent, arguments.canary)
    if arguments.preview:
        request["preview"] = True
    if arguments.time is not None:
        request["seconds"] = seconds_of(arguments.time)
    return request


def _promote(arguments: argparse.Namespace) -> int:
    return follow(arguments, {"command": "promote"}, good=("promoted",))


def _abort(arguments: argparse.Namespace) -> int:
    return follow(arguments, {"command": "abort"}, good=("aborted",))


def _rollback(arguments: argparse.Namespace) -> int:
    return follow(arguments, {"command": "rollback"}, good=GONE_BACK)


def _restart(arguments: argparse.Namespace) -> int:
    request: dict[str, Any] = {"command": "restart", "wait": not arguments.no_wait}
    if arguments.process:
        *_, result = ask_site(arguments, {**request, "processes": arguments.process})
        started = result.get("processes", {}).items()
        return print_result(arguments, result, "\n".join(starmap(_restarted, started)))
    return follow(arguments, request, good=("promoted",))


def _restarted(name: str, pids: Sequence[int]) -> str:
    return f"{name}: restarted{', pid ' if pids else ''}{', '.join(map(str, pids))}"


def _pause(arguments: argparse.Namespace) -> int:
    try:
        seconds = seconds_of(arguments.time)
    except ValueError as error:
        return complain(str(error), USAGE)
    *_, result = ask_site(arguments, {"command": "pause", "seconds": seconds})
    return print_result(arguments, result, f"paused for {seconds:g} s: requests wait at the proxy")


def _resume(arguments: argparse.Namespace) -> int:
    *_, result = ask_site(arguments, {"command": "resume"})
    was_paused = result.get("was_paused")
    return print_result(arguments, result, "resumed" if was_paused else "was not paused")


def _reload(arguments: argparse.Namespace) -> int:
    # The answer itself lists the problems in the file: do not print them twice.
    *_, result = client.ask(socket_of(arguments, None), {"command": "reload"})
    return print_result(arguments, result, change_text.changes(result.get("changes", ())))


def _upgrade(arguments: argparse.Namespace) -> int:
    before = None
    try:
        for message in client.ask(socket_of(arguments), {"command": "upgrade"}):
            if message["event"] == "error":
                return print_result(arguments, message, "")
            before = message["program"]
    except client.ConnectionLost:
        if before is None:
            raise
    # The new program answers on the same socket as soon as it runs.
    now = ask(arguments, {"command": "status"})["supervisor"]
    result = {"event": "result", "before": before, "version": now["version"], "pid": now["pid"]}
    text = f"upgraded from {before} to {now['version']}, pid {now['pid']} as before"
    return print_result(arguments, result, text)


def _swap_arguments(parser: argparse.ArgumentParser) -> None:
    site_arguments(parser)
    parser.add_argument(
        "revision", nargs="?", metavar="REVISION",
        help="a commit (default: HEAD of the checkout; with --rebuild, the live revision)",
    )  # fmt: skip
    parser.add_argument(
        "--retry",
        action="store_true",
        help="deploy it even if it failed before or is already live",
    )
    parser.add_argument(
        "--rebuild",
        action="store_true",
        help="build it again, while the live release keeps serving",
    )
    parser.add_argument(
        "--canary", metavar="SHARE",
        help="first let it serve this share of the clients, such as 10%%; 0%%: no canary",
    )  # fmt: skip
    parser.add_argument(
        "--preview", action="store_true",
        help="first let it serve only those who open a secret link, which is printed",
    )  # fmt: skip
    parser.add_argument(
        "--for", dest="time", metavar="TIME",
        help="how long a canary lasts (default: canary_for in [swap]), or a preview (default: 4h)",
    )  # fmt: skip
    parser.add_argument(
        "--output", action="store_true", help="also show the output of build and migrate"
    )
    parser.add_argument(
        "--no-wait", action="store_true", help="return at once, without waiting for the swap to end"
    )


def _restart_arguments(parser: argparse.ArgumentParser) -> None:
    site_arguments(parser)
    parser.add_argument(
        "--process", action="append", default=[], metavar="PROCESS",
        help="only this process, without a swap; may be given several times",
    )  # fmt: skip
    parser.add_argument(
        "--no-wait", action="store_true", help="return at once, without waiting for the swap to end"
    )


def _pause_arguments(parser: argparse.ArgumentParser) -> None:
    site_arguments(parser)
    parser.add_argument(
        "--for", dest="time", default="60s", metavar="TIME", help="how long to pause (default: 60s)"
    )


COMMANDS = [
    Command(
        "swap",
        "make a revision live, and show its progress",
        _swap,
        _swap_arguments,
        "blue-green swap v1.4",
    ),
    Command(
        "promote",
        "end a canary or a preview, and make its release live",
        _promote,
        site_arguments,
        "blue-green promote",
    ),
    Command(
        "abort",
        "end a canary, a preview, or a swap before its switch, and keep the live release",
        _abort,
        site_arguments,
        "blue-green abort",
    ),
    Command(
        "rollback",
        "go back to the previous release",
        _rollback,
        site_arguments,
        "blue-green rollback",
    ),
    Command(
        "restart",
        "replace the live release's processes, without a build or downtime",
        _restart,
        _restart_arguments,
        "blue-green restart",
    ),
    Command(
        "pause",
        "hold new requests at the proxy",
        _pause,
        _pause_arguments,
        "blue-green pause --for 20s",
    ),
    Command("resume", "end a pause", _resume, site_arguments, "blue-green resume"),
    Command(
        "upgrade",
        "replace the running supervisor with the installed version, without downtime",
        _upgrade,
        client_arguments,
        "blue-green upgrade",
    ),
    Command(
        "reload",
        "read the settings again, and show each change and when it takes effect",
        _reload,
        client_arguments,
        "blue-green reload",
    ),
]
