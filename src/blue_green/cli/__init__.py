"""The command line: one parser for all commands, and what errors become of exit statuses."""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence

from blue_green import __version__
from blue_green.cli import (
    deploy,
    exec_command,
    maintenance,
    preflight,
    push,
    run,
    show,
    trust,
    unit,
)
from blue_green.cli.command import (
    FAILED,
    INTERRUPTED,
    NO_SUPERVISOR,
    OK,
    USAGE,
    Command,
    Parser,
    complain,
    is_settings_file,
)
from blue_green.config.error import ConfigError
from blue_green.control import client

SHELLS = ("bash", "zsh", "fish")


def _completion(arguments: argparse.Namespace) -> int:
    from blue_green.cli import completion, completion_words  # noqa: PLC0415 - only needed here

    words = [completion_words.words_of(c.name, c.help, c.offers, c.arguments) for c in COMMANDS]
    print(completion.SHELLS[arguments.shell](words), end="")
    return OK


def _completion_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help="bash, zsh or fish")


COMMANDS = [
    *run.COMMANDS,
    *preflight.COMMANDS,
    *deploy.COMMANDS,
    *maintenance.COMMANDS,
    *push.COMMANDS,
    *show.COMMANDS,
    *exec_command.COMMANDS,
    *trust.COMMANDS,
    *unit.COMMANDS,
    Command(
        "completion",
        "print a completion script for a shell",
        _completion,
        _completion_arguments,
        "blue-green completion bash > /etc/bash_completion.d/blue-green",
        offers=SHELLS,
    ),
]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command, and return its exit status."""
    words = sys.argv[1:] if argv is None else argv
    command: Sequence[str] = ()
    if words[:1] == ["exec"]:
        ours, command = exec_command.split(words[1:])
        words = ["exec", *ours]
    arguments, unknown = _parser().parse_known_args(words)
    if command:
        arguments.words = command
    if unknown:
        arguments.parser.error(f"unrecognized arguments: {' '.join(unknown)}{_hint(unknown)}")
    try:
        status: int = arguments.handle(arguments)
    except client.NoSupervisor as error:
        return complain(str(error), NO_SUPERVISOR)
    except client.ConnectionLost as error:
        return complain(str(error), FAILED)
    except ConfigError as error:
        return complain("\n".join(error.problems), USAGE)
    except BrokenPipeError:
        # The reader of our output has gone: keep Python from reporting that again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    return status


def _hint(unknown: Sequence[str]) -> str:
    """How to pass a settings file, if an unknown argument looks like one."""
    if any(word == "--config" or word.startswith("--config=") for word in unknown):
        return " (this command takes the settings file without --config)"
    file = next((word for word in unknown if is_settings_file(word)), None)
    return f" (for a settings file: --config {shlex.quote(file)})" if file else ""


def _aligned(prog: str) -> argparse.HelpFormatter:
    """Align the help of all commands: argparse does not count the indentation of their names."""
    formatter = argparse.HelpFormatter(prog)
    formatter._action_max_length = max(len(command.name) for command in COMMANDS) + 4
    return formatter


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="blue-green",
        description="Zero-downtime deploys on a single server.",
        formatter_class=_aligned,
        epilog="exit status: 0 success, 1 failure, 2 wrong usage or settings, 3 no supervisor",
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
        added.set_defaults(handle=command.handle, parser=added)
    return parser
