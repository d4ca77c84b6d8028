"""The README does not promise what is not there, and leaves out nothing that is."""

import re
import tomllib
from pathlib import Path
from typing import Any

import attrs
import pytest

from blue_green import cli, config

README = (Path(__file__).parent.parent / "README.md").read_text()
TOML_BLOCKS = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
EVERY_SETTING = TOML_BLOCKS[-1]


def uncommented() -> dict[str, Any]:
    """The block of all settings, with those that are shown as examples."""
    return tomllib.loads(re.sub(r"(?m)^# (?=\w+ = |\[)", "", EVERY_SETTING))


def test_every_setting_is_shown_and_none_that_does_not_exist() -> None:
    document = uncommented()
    shown = {section: set(keys) for section, keys in document.items()}
    shown["proxy.tls"] = set(document["proxy"]["tls"])
    exist = {
        name: {setting.name for setting in attrs.fields(section)}
        for name, section in config.SECTIONS.items()
    }
    assert shown == exist


def test_the_defaults_shown_are_the_defaults() -> None:
    path = Path("/srv/supervisor.toml")
    document = tomllib.loads(EVERY_SETTING)
    required = {key: document["app"][key] for key in ("command", "ports")}
    assert config.parse(document, path) == config.parse({"app": required}, path)


@pytest.mark.parametrize("block", TOML_BLOCKS, ids=["Datasette", "Spin", "every setting"])
def test_each_configuration_is_valid(block: str) -> None:
    config.parse(tomllib.loads(block), Path("/srv/supervisor.toml"))


def test_every_command_is_shown() -> None:
    for command in cli.COMMANDS:
        assert f"`blue-green {command.name}" in README or f"`{command.name}`" in README


def test_links_lead_to_files() -> None:
    for target in re.findall(r"\]\(([\w./-]+)\)", README):
        assert (Path(__file__).parent.parent / target).exists(), target
