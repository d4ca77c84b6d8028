"""Supervisors are recognised among all processes."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from blue_green.system import running_supervisors


@pytest.mark.parametrize(
    ("words", "file"),
    [
        (["/opt/venv/bin/python", "/opt/venv/bin/blue-green", "run", "/etc/a.toml"], "/etc/a.toml"),
        (["python3", "-m", "blue_green", "run", "a.toml"], "a.toml"),
        (["blue-green", "run"], "supervisor.toml"),
        (["blue-green", "status"], None),
        (["vim", "run", "a.toml"], None),
        (["blue-green"], None),
    ],
)
def test_a_supervisor_is_recognised_by_its_command_line(
    words: Sequence[str], file: str | None
) -> None:
    assert running_supervisors.settings_of(words) == (None if file is None else Path(file))
