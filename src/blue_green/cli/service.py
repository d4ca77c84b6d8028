"""Commands that need no running supervisor."""

import argparse
from pathlib import Path

from blue_green.cli.command import OK, USAGE, Command, complain


def _run(arguments: argparse.Namespace) -> int:
    from blue_green import (  # noqa: PLC0415 - slow, and only for this
        config,
        handover,
        log,
        startup,
        supervisor,
    )

    settings = config.load(arguments.file)
    with log.to_stderr():
        try:
            startup.check_trust(arguments.file, settings)
            startup.check_secret(settings)
            if arguments.trial:  # A running supervisor wants to know whether we could take over.
                print(handover.VERSION)
                return OK
            supervisor.run(arguments.file, settings)
        except startup.CannotRun as error:
            return complain(str(error), USAGE)
    return OK


def _run_arguments(parser: argparse.ArgumentParser) -> None:
    _file_argument(parser)
    parser.add_argument("--trial", action="store_true", help=argparse.SUPPRESS)


def _file_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="the settings, supervisor.toml")


COMMANDS = [
    Command(
        "run",
        "supervise a site: proxy, backends and checkout",
        _run,
        _run_arguments,
        "blue-green run supervisor.toml",
    ),
]
