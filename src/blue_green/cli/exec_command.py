"""`exec`: run a command in the live release, on the terminal of whoever types it.

The client itself becomes the command, so that signals, exit status, pipes and job control are those
of the command. Only if it gives up root's rights, and has a terminal, the command gets one of its
own: see `relay`.
"""

import argparse
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from attrs import evolve

from blue_green.cli import relay
from blue_green.cli.command import FAILED, USAGE, Command, complain
from blue_green.cli.request import ask_site, reject_file, site_argument, socket_arguments
from blue_green.control import client
from blue_green.system import users
from blue_green.system.become import become
from blue_green.system.users import User

NOT_FOUND, NOT_EXECUTABLE = 127, 126
"""Exit statuses, as those of a shell."""
BIN_DIRECTORIES = (".venv/bin", "venv/bin", "node_modules/.bin", "bin", "vendor/bin")
"""Where builds usually put programs, below the directory of the release."""
OF_TERMINAL = ("TERM", "COLORTERM")
"""Variables that describe the terminal, which is the client's."""
WITH_VALUE = ("--site", "--socket", "--config")


def split(words: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """The words for us, and the command, which begins after `--` or at the first other word.

    argparse would take options of the command for ours, and leave out a `--` in it.
    """
    at = 0
    while at < len(words) and words[at].startswith("-") and words[at] != "--":
        takes_value = len(words[at]) > 2 and any(o.startswith(words[at]) for o in WITH_VALUE)
        at += 2 if takes_value else 1
    return words[:at], words[at:][words[at : at + 1] == ["--"] :]


def _exec(arguments: argparse.Namespace) -> int:
    if not arguments.words:
        return complain(
            "name a command: blue-green exec -- .venv/bin/python manage.py shell", USAGE
        )
    reject_file(arguments, arguments.words[0])
    peers: list[client.SocketOwner] = []
    try:
        *_, result = ask_site(arguments, {"command": "exec", "pid": os.getpid()}, peers.append)
    except client.NotAllowed as error:
        return complain(f"{error}: {_with_sudo()}", FAILED)
    if result["event"] == "error":
        return complain(result["error"], USAGE if result["usage"] else FAILED)
    user = _user(result["user"], peers[0])
    if os.geteuid() not in (0, user.uid):
        return complain(f"only root can run it as {user.name}: {_with_sudo()}", FAILED)
    terminal = {name: os.environ[name] for name in OF_TERMINAL if name in os.environ}
    env = {**result["env"], **terminal}

    def start() -> NoReturn:
        _become_command(arguments.words, env, Path(result["directory"]), user, result["umask"])

    sys.stdout.flush()
    if user.uid == os.getuid() or not relay.has_terminal():
        start()
    return relay.run(start)


def _user(named: Mapping[str, Any], peer: client.SocketOwner) -> User:
    """The user to become: root may name any, but every other supervisor only itself.

    Otherwise a user whose supervisor root asks could become root.
    """
    if peer.uid == 0:
        return User(**{**named, "groups": tuple(named["groups"])})
    return evolve(users.by_ids(peer.uid, peer.gid), gid=peer.gid)


def _with_sudo() -> str:
    return f"sudo {shlex.join(['blue-green', *sys.argv[1:]])}"


def _become_command(
    words: Sequence[str], env: Mapping[str, str], directory: Path, user: User, umask: int
) -> NoReturn:
    """Run the command in the place of this process, as the user; exit if that fails."""
    try:
        _close_others()
        become(user)
        os.chdir(directory)
        os.umask(umask)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them.
            signal.signal(number, signal.SIG_DFL)
        os.execvpe(words[0], list(words), dict(env))  # By the PATH in `env`.
    except OSError as error:
        path = env.get("PATH", os.defpath)
        is_missing = isinstance(error, FileNotFoundError | NotADirectoryError)
        why = error.strerror
        if "/" not in words[0] and shutil.which(words[0], path=path) is None:
            is_missing, why = True, f"it is in no directory of PATH, {path}"
            if nearer := _in_release(words[0]):
                why += f"; the release has {nearer}"
        complain(f"cannot run {words[0]} in {directory} as {user.name}: {why}", FAILED)
        sys.stderr.flush()
        os._exit(NOT_FOUND if is_missing else NOT_EXECUTABLE)


def _in_release(name: str) -> str:
    """The path of this program in the current directory, where builds usually put programs."""
    found = (
        f"{where}/{name}" for where in BIN_DIRECTORIES if os.access(f"{where}/{name}", os.X_OK)
    )
    return next(found, "")


def _close_others() -> None:
    """Let the exec close all but the standard descriptors: others may be files of root."""
    for descriptor in [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]:
        if descriptor > 2:
            with suppress(OSError):  # It was the listing itself.
                os.set_inheritable(descriptor, False)


def _arguments(parser: argparse.ArgumentParser) -> None:
    site_argument(parser)
    socket_arguments(parser)
    parser.add_argument(
        "words",
        nargs="*",
        metavar="COMMAND",
        help="the command and its arguments; -- may precede it",
    )


COMMANDS = [
    Command(
        "exec",
        "run a command in the live release, as its user and with its environment",
        _exec,
        _arguments,
        "blue-green exec -- .venv/bin/python manage.py shell",
    )
]
