"""The words that can follow each command, collected for completion."""

import argparse
from collections.abc import Callable, Sequence

from attrs import frozen

FILES = ("FILE", "PATH")
"""Metavars of arguments that are files."""
SITE = "SITE"
"""The metavar of arguments that are names of sites."""
PROCESSES = ("PROCESS", "WHICH")
"""Metavars of arguments that are, or may be, names of processes."""

REVISION = "REVISION"
"""The metavar of arguments that are revisions."""

AddArguments = Callable[[argparse.ArgumentParser], None]


@frozen
class Option:
    """An option of a command."""

    names: Sequence[str]
    help: str
    takes_value: bool
    takes_file: bool
    takes_site: bool
    takes_process: bool


@frozen
class Words:
    """The words that can follow a command."""

    name: str
    help: str
    options: Sequence[Option]
    offers: Sequence[str]
    """Values of the positional argument."""
    takes_file: bool
    takes_site: bool
    takes_process: bool
    takes_revision: bool

    @property
    def valued(self) -> Sequence[str]:
        """The names of options that have a value."""
        return [name for option in self.options if option.takes_value for name in option.names]


def words_of(name: str, about: str, offers: Sequence[str], add: AddArguments) -> Words:
    """Collect a command's options and arguments from its argparse parser."""
    parser = argparse.ArgumentParser(prog=name)
    add(parser)
    actions = parser._actions  # argparse has no public list; this one has been stable since 2.7.
    options = [
        Option(
            names=action.option_strings,
            help=(action.help or "").partition(" (")[0].replace("%%", "%"),
            takes_value=action.nargs != 0,
            takes_file=action.metavar in FILES,
            takes_site=action.metavar == SITE,
            takes_process=action.metavar in PROCESSES,
        )
        for action in actions
        if action.option_strings and action.help != argparse.SUPPRESS
    ]
    positional = [action.metavar for action in actions if not action.option_strings]
    takes_file = any(metavar in FILES for metavar in positional)
    takes_process = any(metavar in PROCESSES for metavar in positional)
    return Words(
        name, about, options, offers, takes_file,
        SITE in positional, takes_process, REVISION in positional,
    )  # fmt: skip
