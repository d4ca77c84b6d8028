"""`exec`: which words belong to the command, and who may run it."""

import sys
from typing import NoReturn

import pytest

from blue_green import cli
from blue_green.cli import exec_command
from blue_green.cli.exec_command import split
from blue_green.control.client import NotAllowed


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


def test_a_user_who_may_not_is_told_what_to_type(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> NoReturn:
        raise NotAllowed("only root may do this")

    words = ["exec", "--site", "my blog", "--", "ls", "-l"]
    monkeypatch.setattr(exec_command, "ask_site", refuse)
    monkeypatch.setattr(sys, "argv", ["blue-green", *words])
    assert cli.main(words) == 1
    assert capsys.readouterr().err == (
        "blue-green: only root may do this: sudo blue-green exec --site 'my blog' -- ls -l\n"
    )


def test_a_command_must_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["exec", "--"]) == 2
    assert "name a command: blue-green exec -- .venv/bin/python" in capsys.readouterr().err
