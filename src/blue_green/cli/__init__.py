"""What people type."""

import argparse
import os
import sys
from collections.abc import Sequence

from blue_green import __version__
from blue_green.cli import deploy, look, service
from blue_green.cli.command import FAILED, INTERRUPTED, NO_SUPERVISOR, USAGE, complain
from blue_green.control import client
from blue_green.locate import ConfigError

COMMANDS = [*service.COMMANDS, *deploy.COMMANDS, *look.COMMANDS]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; its exit status."""
    arguments = _parser().parse_args(argv)
    try:
        status: int = arguments.handle(arguments)
    except client.NoSupervisor as error:
        return complain(str(error), NO_SUPERVISOR)
    except client.Lost as error:
        return complain(str(error), FAILED)
    except ConfigError as error:
        return complain("\n".join(error.problems), USAGE)
    except BrokenPipeError:
        # Whoever read our output has had enough; do not let Python complain about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    return status


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
