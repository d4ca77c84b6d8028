"""`run`: the supervisor itself."""

import argparse

from blue_green.cli.command import OK, USAGE, Command, complain, file_argument


def _run(arguments: argparse.Namespace) -> int:
    from blue_green.certificates import certificates  # noqa: PLC0415 - slow to load
    from blue_green.supervisor import (  # noqa: PLC0415 - slow to load
        settings_file,
        startup,
        supervisor,
    )
    from blue_green.system import handover, log  # noqa: PLC0415 - slow to load

    settings, mistakes = settings_file.load_usable(arguments.file)
    if arguments.trial and mistakes:
        settings_file.load(arguments.file)  # Raises an error with all of them.
    with log.to_stderr():
        try:
            startup.check_trust(arguments.file, settings)
            if arguments.trial:  # Run by `upgrade`: could this program take over?
                certificates.load_libraries(settings.proxy.tls)
                print(handover.VERSION)
                return OK
            supervisor.run(arguments.file, settings, mistakes)
        except startup.CannotRun as error:
            return complain(str(error), USAGE)
    return OK


def _run_arguments(parser: argparse.ArgumentParser) -> None:
    file_argument(parser)
    parser.add_argument("--trial", action="store_true", help=argparse.SUPPRESS)


COMMANDS = [
    Command(
        "run",
        "run the supervisor: proxy, backends and watch on the checkout",
        _run,
        _run_arguments,
        "blue-green run supervisor.toml",
    ),
]
