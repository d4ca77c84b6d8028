"""The command lines of the programs among the tests."""

import argparse
import signal


def program_parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """A parser for `python -m NAME`.

    From now on SIGTERM ends the program like SIGINT, also if the shell had it ignore that: there
    are processes and directories to clean up.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    return argparse.ArgumentParser(
        prog=f"python -m {name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
