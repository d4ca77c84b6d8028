"""Commands that need no running supervisor."""

import argparse
from pathlib import Path

from blue_green.cli.command import OK, USAGE, Command, complain


def _run(arguments: argparse.Namespace) -> int:
    from blue_green import config, log, startup, supervisor  # noqa: PLC0415 - slow, and only for this

    settings = config.load(arguments.file)
    with log.to_stderr():
        try:
            startup.check_trust(arguments.file, settings)
            supervisor.run(arguments.file, settings)
        except startup.CannotRun as error:
            return complain(str(error), USAGE)
    return OK


def _file_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="the settings, supervisor.toml")


COMMANDS = [
    Command(
        "run",
        "supervise a site: proxy, backends and checkout",
        _run,
        _file_argument,
        "blue-green run supervisor.toml",
    ),
]
