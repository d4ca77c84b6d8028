"""Requests to the supervisor: how it is found, and how its answers are printed."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from blue_green.cli import swap_results, trial_text
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
from blue_green.cli.control_socket import socket_of
from blue_green.cli.progress import Progress
from blue_green.cli.terminal import Style
from blue_green.control import client
from blue_green.system.running_supervisors import DEFAULT_FILE


def client_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how to find the supervisor, and how to print its answer."""
    socket_arguments(parser)
    parser.add_argument(
        "--json", action="store_true", help="print JSON: one object, or one per line"
    )


def socket_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how to find the supervisor."""
    parser.add_argument("--socket", metavar="PATH", help="the supervisor's control socket")
    parser.add_argument(
        "--config",
        metavar="FILE",
        help=f"the settings file that names the socket (default: {DEFAULT_FILE})",
    )


def site_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of a command of one site."""
    site_argument(parser)
    client_arguments(parser)


def site_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the site."""
    parser.add_argument(
        "--site",
        metavar="SITE",
        help="the site (default: the one whose checkout is here, or the only one)",
    )


def reject_file(arguments: argparse.Namespace, word: str | None) -> None:
    """Exit with a usage error if a settings file was given in place of a revision."""
    if word is not None and is_settings_file(word) and Path(word).is_file():
        arguments.parser.error(f"{word} is a file: to name a settings file, use --config {word}")


def ask(arguments: argparse.Namespace, request: dict[str, Any]) -> dict[str, Any]:
    """Send a request, and return the last object of the answer."""
    *_, result = client.ask(socket_of(arguments), request)
    return result


def ask_site(
    arguments: argparse.Namespace,
    request: dict[str, Any],
    on_peer: Callable[[client.SocketOwner], None] | None = None,
) -> Iterator[dict[str, Any]]:
    """Send a command of one site; yield each object of the answer as it comes.

    Without `--site`, the supervisor finds the site by the current directory.
    """
    to, place = socket_of(arguments), where(arguments)
    for message in client.ask(to, {**request, **place}, on_peer=on_peer):
        if "site" not in place and is_refused_by_older(message):
            yield from client.ask(to, request)
            return
        yield message


def where(arguments: argparse.Namespace) -> dict[str, str]:
    """The site that a command is for, or the directory by which the supervisor finds it."""
    if arguments.site is not None:
        return {"site": arguments.site}
    with suppress(OSError):  # Somebody may have removed the current directory.
        return {"directory": str(Path.cwd())}
    return {}


def is_refused_by_older(message: Mapping[str, Any]) -> bool:
    """Whether a supervisor with one site refused a request that names it.

    It is older than this program until `upgrade` or a restart replaces it.
    """
    return message["event"] == "error" and "Extra fields" in message["error"]


def follow(arguments: argparse.Namespace, request: dict[str, Any], good: Sequence[str]) -> int:
    """Show a swap as it happens; an outcome in `good` is exit status 0."""
    progress = Progress(sys.stdout, quiet=arguments.json)
    result: dict[str, Any] = {}
    try:
        for message in ask_site(arguments, request):
            result = message
            progress.event(message)
    except KeyboardInterrupt:
        progress.leave()
        status = f"blue-green status {arguments.site or ''}".rstrip()
        print(f"the swap continues; `{status}` shows it", file=sys.stderr)
        return INTERRUPTED
    finally:
        progress.clear()
    if result["event"] == "error":
        return print_result(arguments, result, "")
    outcome = result.get("outcome")
    if outcome is None and "links" in result:
        return print_result(arguments, result, trial_text.preview(result))
    if outcome is None:
        # An older supervisor sends no text.
        queued = result.pop("text", f"{result['revision'][:7]} is queued")
        return print_result(arguments, result, queued)
    print_result(
        arguments,
        result,
        lambda: "\n".join(swap_results.receipt(result, Style.of(sys.stdout), arguments.site)),
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
    if why := result.get("unsaved"):
        warn(f"this is in effect now, but a restart would forget it: {why}")
    return OK
