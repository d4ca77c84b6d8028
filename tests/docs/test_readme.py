"""The README shows real defaults and commands; checks for all pages are in `test_blocks`."""

import tomllib
from pathlib import Path

from blue_green import cli
from blue_green.config import parsing
from tests.docs.blocks import TOP, blocks

README = (TOP / "README.md").read_text()


def test_the_defaults_shown_are_the_defaults() -> None:
    path = Path("/srv/supervisor.toml")
    *_, shown = [block.text for block in blocks("toml") if block.page == "README.md"]
    document = tomllib.loads(shown)
    required = {"command": document["app"]["command"]}
    assert parsing.parse(document, path) == parsing.parse({"app": required}, path)


def test_every_command_is_shown() -> None:
    for command in cli.COMMANDS:
        assert f"`blue-green {command.name}" in README or f"`{command.name}`" in README


def test_the_documented_test_command_is_the_one_that_is_run_before_a_change_lands() -> None:
    (command,) = [
        block.text
        for block in blocks("sh")
        if block.page == "README.md" and "/pytest" in block.text
    ]
    assert command in (TOP / ".ci" / "run").read_text()
