"""`unit`: the systemd unit, printed or installed."""

import os
from pathlib import Path

import pytest

from blue_green import cli as blue_green_cli
from blue_green.cli import unit
from tests.support import settings
from tests.support.command import cli


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "supervisor.toml"
    settings.load(path)
    return path


@pytest.fixture
def units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of systemd's units, on a machine that runs something else."""
    (tmp_path / "units").mkdir()
    monkeypatch.setattr(unit, "UNITS", tmp_path / "units")
    monkeypatch.setattr(unit, "RUNNING", tmp_path / "nowhere")
    return tmp_path / "units"


def test_the_unit_is_printed_and_the_notes_beside_it(file: Path) -> None:
    done = cli(file.parent, "unit")
    assert done.code == 0
    assert done.out.startswith(f"# Written by `blue-green unit {file}`.")
    assert f" run {file}\n" in done.out
    assert "note: set directory" in done.err


def test_settings_with_a_mistake_have_no_unit(file: Path) -> None:
    file.write_text("[app]\n")
    done = cli(file.parent, "unit")
    assert (done.code, done.out) == (2, "")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can install a unit")
def test_it_is_installed_and_a_changed_one_only_by_force(
    file: Path, units: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    installed = units / "blue-green.service"
    assert blue_green_cli.main(["unit", str(file), "--install"]) == 0
    assert "next: systemctl enable --now blue-green\n" in capsys.readouterr().out
    assert "[Service]" in installed.read_text()
    installed.write_text("mine")
    assert blue_green_cli.main(["unit", str(file), "--install"]) == 1
    assert "use --force to overwrite it" in capsys.readouterr().err
    assert installed.read_text() == "mine"
    assert blue_green_cli.main(["unit", str(file), "--install", "--force"]) == 0
    assert "[Service]" in installed.read_text()
