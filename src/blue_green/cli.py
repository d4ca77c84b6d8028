"""What people type."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blue_green import __version__, display
from blue_green.control import client
from blue_green.locate import ConfigError, control_socket

OK, FAILED, USAGE, NO_SUPERVISOR, INTERRUPTED = 0, 1, 2, 3, 130

DEFAULT_FILE = "supervisor.toml"


@dataclass(frozen=True)
class Command:
    """A command's name, help, arguments and what it does, in one place."""

    name: str
    help: str
    handle: Callable[[argparse.Namespace], int]
    arguments: Callable[[argparse.ArgumentParser], None]
    example: str


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; its exit status."""
    arguments = _parser().parse_args(argv)
    try:
        status: int = arguments.handle(arguments)
    except client.NoSupervisor as error:
        return _complain(str(error), NO_SUPERVISOR)
    except client.Lost as error:
        return _complain(str(error), FAILED)
    except ConfigError as error:
        return _complain("\n".join(error.problems), USAGE)
    except BrokenPipeError:
        # Whoever read our output has had enough; do not let Python complain about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    return status


# --- commands -------------------------------------------------------------------------------


def _run(arguments: argparse.Namespace) -> int:
    from blue_green import config, log, startup, supervisor  # noqa: PLC0415 - slow, and only for this

    settings = config.load(arguments.file)
    with log.to_stderr():
        try:
            startup.check_trust(arguments.file, settings)
            supervisor.run(settings)
        except startup.CannotRun as error:
            return _complain(str(error), USAGE)
    return OK


def _swap(arguments: argparse.Namespace) -> int:
    request = {
        "command": "swap",
        "revision": arguments.revision,
        "retry": arguments.retry,
        "wait": not arguments.no_wait,
    }
    return _follow(arguments, request, good=("promoted", "unchanged"))


def _rollback(arguments: argparse.Namespace) -> int:
    return _follow(arguments, {"command": "rollback"}, good=("promoted", "unchanged", "reverted"))


def _pause(arguments: argparse.Namespace) -> int:
    from blue_green.values import duration  # noqa: PLC0415 - slow, and only for this

    try:
        bare = arguments.time.replace(".", "", 1).isdecimal()
        seconds = float(duration(float(arguments.time) if bare else arguments.time))
    except ValueError as error:
        return _complain(f"--for {error}", USAGE)
    result = _ask(arguments, {"command": "pause", "seconds": seconds})
    return _tell(arguments, result, f"paused for {seconds:g} s: requests wait at the proxy")


def _resume(arguments: argparse.Namespace) -> int:
    result = _ask(arguments, {"command": "resume"})
    was_paused = result.get("was_paused")
    return _tell(arguments, result, "resumed" if was_paused else "it was not paused")


def _status(arguments: argparse.Namespace) -> int:
    result = _ask(arguments, {"command": "status"})
    return _tell(arguments, result, lambda: display.status(result))


# --- with the supervisor --------------------------------------------------------------------


def _follow(arguments: argparse.Namespace, request: dict[str, Any], good: Sequence[str]) -> int:
    """Show a swap as it happens; its end decides the exit status."""
    show = display.Progress(sys.stdout, quiet=arguments.json)
    result: dict[str, Any] = {}
    try:
        for message in client.ask(_socket(arguments), request):
            result = message
            show.event(message)
    except KeyboardInterrupt:
        print("\nthe swap goes on; `blue-green status` shows it", file=sys.stderr)
        return INTERRUPTED
    if result["event"] == "error":
        return _tell(arguments, result, "")
    outcome = result.get("outcome")
    if outcome is None:
        return _tell(arguments, result, f"{result['revision'][:7]} is wanted")
    _tell(arguments, result, lambda: display.receipt(result))
    return OK if outcome in good else FAILED


def _ask(arguments: argparse.Namespace, request: dict[str, Any]) -> dict[str, Any]:
    """The last object of the answer."""
    *_, result = client.ask(_socket(arguments), request)
    return result


def _tell(
    arguments: argparse.Namespace, result: dict[str, Any], text: str | Callable[[], str]
) -> int:
    """Print a result, as text or as JSON; the exit status."""
    event = result.pop("event")
    if arguments.json:
        print(json.dumps(result))
    if event == "error":
        return _complain(result["error"], USAGE if result["usage"] else FAILED)
    if not arguments.json:
        print(text if isinstance(text, str) else text())
    return OK


def _socket(arguments: argparse.Namespace) -> Path:
    if arguments.socket is not None:
        return Path(arguments.socket)
    if named := os.environ.get("BLUE_GREEN_SOCKET"):
        return Path(named)
    return control_socket(Path(arguments.config or DEFAULT_FILE))


def _complain(text: str, status: int) -> int:
    sys.stdout.flush()
    print("\n".join(f"blue-green: {line}" for line in text.splitlines()), file=sys.stderr)
    return status


# --- what there is to type ------------------------------------------------------------------


def _file_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="the settings, supervisor.toml")


def _client_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--socket", metavar="PATH", help="the supervisor's control socket")
    parser.add_argument(
        "--config", metavar="FILE", help=f"find the socket in this file (default: {DEFAULT_FILE})"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _swap_arguments(parser: argparse.ArgumentParser) -> None:
    _client_arguments(parser)
    parser.add_argument(
        "revision", nargs="?", metavar="REVISION", help="a commit (default: HEAD of the checkout)"
    )
    parser.add_argument(
        "--retry", action="store_true", help="also if it failed before, or is live already"
    )
    parser.add_argument("--no-wait", action="store_true", help="do not wait for the end")


def _pause_arguments(parser: argparse.ArgumentParser) -> None:
    _client_arguments(parser)
    parser.add_argument(
        "--for", dest="time", default="60s", metavar="TIME", help="its end (default: 60s)"
    )


COMMANDS = [
    Command(
        "run",
        "supervise a site: proxy, backends and checkout",
        _run,
        _file_argument,
        "blue-green run supervisor.toml",
    ),
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
        _client_arguments,
        "blue-green rollback",
    ),
    Command(
        "pause",
        "let requests wait at the proxy",
        _pause,
        _pause_arguments,
        "blue-green pause --for 20s",
    ),
    Command("resume", "let them go on", _resume, _client_arguments, "blue-green resume"),
    Command(
        "status",
        "what runs, what is wanted, and how the last swap went",
        _status,
        _client_arguments,
        "blue-green status --json",
    ),
]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="blue-green",
        description="Invisible deploys on one machine.",
        epilog="exit status: 0 done, 1 it failed, 2 wrong usage or settings, 3 no supervisor there",
    )
    parser.add_argument("--version", action="version", version=f"blue-green {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        added = commands.add_parser(
            command.name,
            help=command.help,
            description=command.help[0].upper() + command.help[1:] + ".",
            epilog=f"example: {command.example}",
        )
        command.arguments(added)
        added.set_defaults(handle=command.handle)
    return parser
