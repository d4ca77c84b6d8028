"""Which words of a command line belong to the command that `exec` runs."""

import pytest

from blue_green.cli.exec_command import split


@pytest.mark.parametrize(
    ("words", "ours", "command"),
    [
        ("ls -l", "", "ls -l"),
        ("-- ls -l", "", "ls -l"),
        ("--site blog ls --site x", "--site blog", "ls --site x"),
        ("--site=blog -- ls -- -x", "--site=blog", "ls -- -x"),
        ("--si blog --config f.toml ls", "--si blog --config f.toml", "ls"),
        ("npm run x -- --watch", "", "npm run x -- --watch"),
        ("--help", "--help", ""),
        ("-- --odd", "", "--odd"),
        ("--", "", ""),
        ("--site", "--site", ""),
    ],
)
def test_the_command_begins_after_our_options(words: str, ours: str, command: str) -> None:
    assert split(words.split()) == (ours.split(), command.split())
