"""`maintenance`: let visitors see a page in place of a site, and a few people the site."""

import argparse
from collections.abc import Mapping
from typing import Any

from blue_green.cli import maintenance_text
from blue_green.cli.command import USAGE, Command, complain
from blue_green.cli.option_values import seconds_of
from blue_green.cli.request import ask, ask_site, print_result, reject_file, site_arguments

OPTIONS = ("message", "until", "time", "allow", "secret")
"""Options of `on`."""


def _maintenance(arguments: argparse.Namespace) -> int:
    reject_file(arguments, arguments.do)
    if (do := arguments.do or "show") not in ("on", "off", "show"):
        arguments.parser.error(f"it is on or off, not {do}")
    options = {name: getattr(arguments, name) for name in OPTIONS}
    given = {name: value for name, value in options.items() if value not in (None, False, [])}
    if given and do != "on":
        names = ", ".join("--for" if name == "time" else f"--{name}" for name in given)
        return complain(f"{names}: only with `blue-green maintenance on`", USAGE)
    if arguments.all and arguments.site is not None:
        return complain("--all and --site exclude each other", USAGE)
    request = {"command": "maintenance", "do": do, **given}
    if "time" in given:
        try:
            request["seconds"] = seconds_of(request.pop("time"))
        except ValueError as error:
            return complain(str(error), USAGE)
    if arguments.all:
        return max(_of_site(arguments, request, name) for name in _names(arguments))
    return _of_site(arguments, request, "")


def _names(arguments: argparse.Namespace) -> list[str]:
    """The names of all sites."""
    status = ask(arguments, {"command": "status"})
    return list(status["sites"]) if "sites" in status else [status["site"]]


def _of_site(arguments: argparse.Namespace, request: dict[str, Any], name: str) -> int:
    """Send the request for the site of this name, or else for the one of the arguments."""
    if name:
        arguments.site = name
    *_, result = ask_site(arguments, request)
    if name:
        result["site"] = name
        if "error" in result:
            result["error"] = f"{name}: {result['error']}"
    text = "" if "error" in result else "\n".join(_lines(result))
    return print_result(arguments, result, text)


def _lines(result: Mapping[str, Any]) -> list[str]:
    prefix = f"{result['site']}: " if "site" in result else ""
    found = result["maintenance"]
    if found is None:
        return [prefix + ("maintenance has ended" if result["was_on"] else "not in maintenance")]
    end = maintenance_text.until(result["until"])
    lines = [f"{prefix}in maintenance {end}: new requests get 503"]
    if found["allow"]:
        lines.append(f"admitted: {', '.join(found['allow'])}")
    if found["message"]:
        lines.append(f"message: {found['message']}")
    lines += result.get("dropped", ())  # Missing in the answers of older supervisors.
    if result["links"]:
        lines.append("whoever opens this link is admitted, too:")
        lines += [f"  {link}" for link in result["links"]]
    return lines


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "do", nargs="?", metavar="on|off",
        help="begin or change maintenance, or end it (default: show it)",
    )  # fmt: skip
    parser.add_argument("--message", metavar="TEXT", help="what the page says")
    parser.add_argument(
        "--until", metavar="TIME",
        help='when it ends by itself: 21:00, or "2026-12-01 06:00" (default: only `off` ends it)',
    )  # fmt: skip
    parser.add_argument(
        "--for", dest="time", metavar="TIME",
        help="how long it lasts, such as 30m, in place of --until",
    )  # fmt: skip
    parser.add_argument(
        "--allow", metavar="NETWORK", action="append", default=[],
        help="admit this address or network; may be given several times",
    )  # fmt: skip
    parser.add_argument(
        "--secret", action="store_true",
        help="make a secret link, and admit whoever has opened it",
    )  # fmt: skip
    parser.add_argument("--all", action="store_true", help="all sites")
    site_arguments(parser)


COMMANDS = [
    Command(
        "maintenance",
        "answer new requests with 503 and a page, but for those that are admitted",
        _maintenance,
        _arguments,
        'blue-green maintenance on --message "Back at nine." --until 21:00 --secret',
        offers=("on", "off"),
    )
]
