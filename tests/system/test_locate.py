"""The settings file is read, and the control socket found in it, even if it is broken."""

import re
from pathlib import Path

import pytest

from blue_green.config.error import ConfigError
from blue_green.supervisor import settings_file
from blue_green.system import locate
from tests.support.settings import load


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    return tmp_path / "supervisor.toml"


NOT_TOML = {
    "unclosed": b"[app",
    "the same key twice": b"a = 1\na = 2",
    "binary": b"\xff\xfe",
    "Latin-1": b'name = "caf\xe9"',
    "deeply nested": b"x = " + b"[" * 5000,
    "an enormous number": b"x = " + b"9" * 5000,
}


@pytest.mark.parametrize("content", NOT_TOML.values(), ids=NOT_TOML.keys())
def test_a_file_that_is_not_toml_is_an_error_with_its_name(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        settings_file.load(file)
    (problem,) = caught.value.problems
    assert problem.startswith(f"{file}: is not ")


def test_a_missing_file_is_an_error_with_its_name(file: Path) -> None:
    with pytest.raises(ConfigError, match=f"{re.escape(str(file))}: cannot be read: No such file"):
        settings_file.load(file)


STATE_SETTINGS: list[tuple[str, dict[str, str], str]] = [
    ("", {"STATE_DIRECTORY": "/var/lib/a:/var/lib/b"}, "/var/lib/a"),
    ('[state]\ndirectory = "/srv/state"', {"STATE_DIRECTORY": "/var/lib/a"}, "/srv/state"),
    ('[state]\ndirectory = ".blue-green"', {"STATE_DIRECTORY": "/var/lib/a"}, ".blue-green"),
    ("", {"STATE_DIRECTORY": ""}, ".blue-green"),
]


def nowhere(_: Path) -> None:
    """No supervisor runs that was started with this file."""


@pytest.mark.parametrize(("more", "env", "directory"), STATE_SETTINGS)
def test_the_state_directory_is_the_setting_or_else_systemds(
    file: Path, monkeypatch: pytest.MonkeyPatch, more: str, env: dict[str, str], directory: str
) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert load(file, more).state.directory == file.parent / directory
    assert (
        locate.control_socket(file, pytest.fail, nowhere)
        == file.parent / directory / "control.sock"
    )


def test_the_socket_is_found_in_a_file_with_other_mistakes(file: Path) -> None:
    file.write_text('[app]\nports = "none"\n[control]\nsocket = "/run/x.sock"')
    assert locate.control_socket(file, pytest.fail, nowhere) == Path("/run/x.sock")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[app\nports = [1, 2]", ".blue-green/control.sock"),
        ("x = \n[state]\ndirectory = 'there'\n[app]\n", "there/control.sock"),
        ("[control] # here\nsocket = 'x.sock'\n[app\n[state]\n", ".blue-green/x.sock"),
        (" [state]\ndirectory = 'there'\n[control]\nsocket = \n", "there/control.sock"),
        ("[state]\ndirectory = \n", ".blue-green/control.sock"),
        ("[state]\n[state]\ndirectory = 'there'\n", "there/control.sock"),
        ("\udcff\n[state]\ndirectory = 'there'\n", "there/control.sock"),
    ],
)
def test_the_socket_is_found_in_a_broken_file_or_at_its_default_place(
    file: Path, monkeypatch: pytest.MonkeyPatch, text: str, place: str
) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    file.write_text(text, errors="surrogateescape")
    with pytest.raises(ConfigError, match="is not "):
        locate.control_socket(file, pytest.fail, nowhere)
    (file.parent / place).parent.mkdir()
    (file.parent / place).touch()
    warnings: list[str] = []
    assert locate.control_socket(file, warnings.append, nowhere) == file.parent / place
    [warning] = warnings
    assert warning.startswith(f"{file}: is not ")
    assert warning.endswith(f"; looking for the supervisor at {file.parent / place}")
