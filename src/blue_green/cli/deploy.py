"""Commands that change what runs."""

import argparse

from blue_green.cli.command import (
    USAGE,
    Command,
    ask,
    client_arguments,
    complain,
    follow,
    reject_file,
    socket_of,
    tell,
)
from blue_green.config import change_text
from blue_green.control import client


def _swap(arguments: argparse.Namespace) -> int:
    reject_file(arguments, arguments.revision)
    request = {
        "command": "swap",
        "revision": arguments.revision,
        "retry": arguments.retry,
        "rebuild": arguments.rebuild,
        "wait": not arguments.no_wait,
    }
    return follow(arguments, request, good=("promoted", "unchanged"))


def _rollback(arguments: argparse.Namespace) -> int:
    return follow(arguments, {"command": "rollback"}, good=("promoted", "unchanged", "reverted"))


def _restart(arguments: argparse.Namespace) -> int:
    request = {"command": "restart", "wait": not arguments.no_wait}
    return follow(arguments, request, good=("promoted",))


def _pause(arguments: argparse.Namespace) -> int:
    from blue_green.config.kinds import duration  # noqa: PLC0415 - slow, and only for this

    try:
        bare = arguments.time.replace(".", "", 1).isdecimal()
        seconds = float(duration(float(arguments.time) if bare else arguments.time))
    except ValueError as error:
        return complain(f"--for {error}", USAGE)
    result = ask(arguments, {"command": "pause", "seconds": seconds})
    return tell(arguments, result, f"paused for {seconds:g} s: requests wait at the proxy")


def _resume(arguments: argparse.Namespace) -> int:
    result = ask(arguments, {"command": "resume"})
    was_paused = result.get("was_paused")
    return tell(arguments, result, "resumed" if was_paused else "it was not paused")


def _reload(arguments: argparse.Namespace) -> int:
    # What is wrong with the file is the answer, and is not said twice.
    *_, result = client.ask(socket_of(arguments, lambda _: None), {"command": "reload"})
    return tell(arguments, result, lambda: change_text.changes(result["changes"]))


def _upgrade(arguments: argparse.Namespace) -> int:
    before = None
    try:
        for message in client.ask(socket_of(arguments), {"command": "upgrade"}):
            if message["event"] == "error":
                return tell(arguments, message, "")
            before = message["program"]
    except client.Lost:
        if before is None:
            raise
    # The new program answers on the same socket, as soon as it is there.
    now = ask(arguments, {"command": "status"})["supervisor"]
    result = {"event": "result", "before": before, "version": now["version"], "pid": now["pid"]}
    text = f"upgraded from {before} to {now['version']}, pid {now['pid']} as before"
    return tell(arguments, result, text)


def _swap_arguments(parser: argparse.ArgumentParser) -> None:
    client_arguments(parser)
    parser.add_argument(
        "revision", nargs="?", metavar="REVISION",
        help="a commit (default: HEAD of the checkout; with --rebuild what is live)",
    )  # fmt: skip
    parser.add_argument(
        "--retry", action="store_true", help="also if it failed before, or is live already"
    )
    parser.add_argument(
        "--rebuild", action="store_true", help="build it again; what is live serves on meanwhile"
    )
    parser.add_argument("--no-wait", action="store_true", help="do not wait for the end")


def _restart_arguments(parser: argparse.ArgumentParser) -> None:
    client_arguments(parser)
    parser.add_argument("--no-wait", action="store_true", help="do not wait for the end")


def _pause_arguments(parser: argparse.ArgumentParser) -> None:
    client_arguments(parser)
    parser.add_argument(
        "--for", dest="time", default="60s", metavar="TIME", help="its end (default: 60s)"
    )


COMMANDS = [
    Command(
        "swap",
        "make a revision live, and show how it goes",
        _swap,
        _swap_arguments,
        "blue-green swap v1.4",
    ),
    Command(
        "rollback",
        "go back to the release that was live before",
        _rollback,
        client_arguments,
        "blue-green rollback",
    ),
    Command(
        "restart",
        "replace the processes of the live release by fresh ones, without a build",
        _restart,
        _restart_arguments,
        "blue-green restart",
    ),
    Command(
        "pause",
        "let requests wait at the proxy",
        _pause,
        _pause_arguments,
        "blue-green pause --for 20s",
    ),
    Command("resume", "let them go on", _resume, client_arguments, "blue-green resume"),
    Command(
        "upgrade",
        "let the installed program take over from the running one",
        _upgrade,
        client_arguments,
        "blue-green upgrade",
    ),
    Command(
        "reload",
        "read the settings again, and say what that changes and when",
        _reload,
        client_arguments,
        "blue-green reload",
    ),
]
