"""Supervisors are recognised among all processes."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from blue_green.system import procfs, running_supervisors
from blue_green.system.running_supervisors import SupervisorProcess


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


def test_a_process_of_a_stranger_does_not_take_the_place_of_a_supervisor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any user can run something whose command line is the same."""
    file = tmp_path / "supervisor.toml"
    file.write_text("")
    stranger = file.stat().st_uid + 4711
    running = {2: stranger, 3: stranger, 4: file.stat().st_uid}
    monkeypatch.setattr(
        running_supervisors,
        "supervisors",
        lambda: [SupervisorProcess(pid, file) for pid in running],
    )
    monkeypatch.setattr(procfs, "uid_of", running.__getitem__)
    monkeypatch.setattr(procfs, "start_time", lambda pid: -pid)
    monkeypatch.setattr(
        SupervisorProcess, "control_socket", property(lambda one: Path(f"/{one.pid}"))
    )
    assert running_supervisors.socket_of(file) == Path("/4")
    del running[4]
    assert running_supervisors.socket_of(file) == Path("/3")  # The older one.
