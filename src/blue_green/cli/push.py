"""Commands for `git push` straight to a checkout: one installs the hook, and the hook runs one."""

import argparse
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from blue_green.cli import swap_results
from blue_green.cli.command import FAILED, OK, USAGE, Command, complain, file_argument, say
from blue_green.cli.control_socket import socket_of
from blue_green.cli.progress import Progress
from blue_green.cli.terminal import Style
from blue_green.control import client
from blue_green.system import documents

RETRY_AFTER = 1.0
"""Seconds until a supervisor that was upgraded meanwhile is asked again."""


def _accept_pushes(arguments: argparse.Namespace) -> int:
    # Slow to load, and no other command needs them.
    from blue_green.preflight import push_hook  # noqa: PLC0415
    from blue_green.supervisor import settings_file  # noqa: PLC0415

    settings = settings_file.load(arguments.file)
    names = [site.name for site in settings.sites]
    if arguments.site not in (None, *names):
        return complain(f"there is no site {arguments.site}; there are: {', '.join(names)}", USAGE)
    chosen = [site for site in settings.sites if arguments.site in (None, site.name)]
    if len({site.git.checkout for site in chosen}) > 1:
        return complain(f"name the site with --site: {', '.join(names)}", USAGE)
    site = chosen[0]
    try:
        hook = push_hook.install(arguments.file, site)
    except push_hook.CannotAccept as error:
        return complain(str(error), FAILED)
    say(f"wrote {hook}, and set receive.denyCurrentBranch = updateInstead")
    if site.git.follow == "reset" and (site.git.pull_every or site.webhook.secret_file):
        say('note: with follow = "reset", the next pull takes back what was pushed here')
    say(f"next: git remote add live USER@HOST:{site.git.checkout}, and git push live main")
    say(f"note: {documents.path_of('pushes.md')} says which USER that can be")
    return OK


def _receive(arguments: argparse.Namespace) -> int:
    is_branch = arguments.ref.startswith("refs/heads/")
    if not is_branch or not arguments.new.strip("0"):
        return OK  # A tag, or a branch that is deleted.
    socket = socket_of(arguments, None)
    request = {
        "command": "push",
        "checkout": str(arguments.checkout),
        "ref": arguments.ref,
        "old": arguments.old,
        "new": arguments.new,
    }
    try:
        try:
            return _show(client.ask(socket, request))
        except client.ConnectionLost:
            time.sleep(RETRY_AFTER)
            return _show(client.ask(socket, request))
    except client.NoSupervisor as error:
        say(f"{error}\nthe push is accepted: the supervisor deploys it when it sees the new HEAD")
        return OK


def _show(messages: Iterator[Mapping[str, Any]]) -> int:
    """Show a push as it is deployed; the exit status says whether git may accept it."""
    git = os.getppid()
    progress, site = Progress(sys.stdout, quiet=False), ""
    for message in messages:
        if os.getppid() != git:
            return FAILED  # The push was aborted: our end is the sign for the supervisor.
        progress.event(message)
        event = message["event"]
        if event in ("note", "receipt") and message["site"] != site:
            site = message["site"]
            say(f"site {site}:")
        if event == "note":
            say(message["text"])
        elif event == "receipt":
            _show_receipt(message)
        elif event == "error":
            return complain(message["error"], FAILED)
        elif event == "result":
            return OK if message["is_accepted"] else FAILED
    return FAILED


def _show_receipt(message: Mapping[str, Any]) -> None:
    receipt = message["receipt"]
    site = message["site"] or None
    print("\n".join(swap_results.receipt(receipt, Style.of(sys.stdout), site)), flush=True)
    if receipt["outcome"] in ("promoted", "unchanged"):
        say(f"live on {message['addresses']}")
    else:
        say("the push is refused; to try the same commit again, push it again")


def _accept_arguments(parser: argparse.ArgumentParser) -> None:
    file_argument(parser)
    parser.add_argument("--site", metavar="SITE", help="the site (default: the only one)")


def _receive_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--socket", metavar="PATH", help="the supervisor's control socket")
    parser.add_argument("--config", metavar="FILE", help="the settings file that names the socket")
    parser.add_argument("checkout", type=Path, metavar="CHECKOUT", help="the checkout")
    for name, help_text in (
        ("ref", "the branch or tag that is pushed"),
        ("old", "its revision until now"),
        ("new", "its new revision"),
    ):
        parser.add_argument(name, metavar=name.upper(), help=help_text)


COMMANDS = [
    Command(
        "accept-pushes",
        "let the checkout of a site accept `git push`, and deploy what is pushed",
        _accept_pushes,
        _accept_arguments,
        "blue-green accept-pushes supervisor.toml",
    ),
    Command(
        "receive",
        "deploy a pushed revision; git's update hook runs this",
        _receive,
        _receive_arguments,
        "blue-green receive /srv/app refs/heads/main OLD NEW",
    ),
]
