"""`docs/settings.md` matches the code."""

import tomllib
from pathlib import Path

from blue_green.config import parsing
from blue_green.config.sections import SECTIONS, settings_of
from tests.docs import settings


def test_the_page_of_settings_matches_the_code() -> None:
    assert settings.PAGE.read_text() == settings.page(), (
        "settings have changed: run `python -m tests.docs` and look at the difference"
    )


def test_the_examples_are_one_valid_file_with_all_sections() -> None:
    parsing.parse(tomllib.loads(settings.EXAMPLES.read_text()), Path("/srv/supervisor.toml"))
    assert settings.examples().keys() == SECTIONS.keys()


def test_each_setting_is_a_row_with_its_default_and_effect() -> None:
    """Checked on the page itself, not on what generates it."""
    text = settings.PAGE.read_text()
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| `")]
    every = [setting for kind in SECTIONS.values() for setting in settings_of(kind).values()]
    assert len(rows) == len([setting for setting in every if not setting.is_section])
    found = {row[0].strip("`"): row for row in rows}
    assert found["drain_timeout"][1:3] + found["drain_timeout"][4:] == [
        "duration",
        '`"30s"`',
        "next swap",
    ]
    assert found["max_head"][1:3] == ["size", '`"16KiB"`']
    assert found["pull_every"][2] == "never; only HEAD is watched"
    assert found["redirect"][4] == "restart"
    assert found["hsts"][4] == "now"
