"""The shipped service unit, checked against the program's own defaults."""

import shutil
from collections import defaultdict
from pathlib import Path

import pytest

from blue_green.config.kinds import Argv, Port, Ports, duration
from blue_green.config.process_settings import ProxySettings
from blue_green.config.site_settings import AppSettings, SwapSettings
from tests.support.units import problems_of_unit

UNIT = Path(__file__).parents[2] / "deploy" / "blue-green.service"


@pytest.fixture
def service() -> dict[str, list[str]]:
    """The [Service] section: each key with its values, in the order of the file."""
    section, found = "", defaultdict(list)
    for line in UNIT.read_text().splitlines():
        if line.startswith("["):
            section = line
        elif section == "[Service]" and line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found[key].append(value)
    return found


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    assert problems_of_unit(UNIT.read_text(), tmp_path / UNIT.name) == []


def test_systemd_waits_long_enough_for_an_orderly_stop(service: dict[str, list[str]]) -> None:
    (timeout,) = service["TimeoutStopSec"]
    drain, stop = SwapSettings().drain_timeout, _default_stop_timeout()
    # A swap in hand stops its candidate; then requests are finished; then the backends stop.
    assert duration(f"{timeout}s") > stop + drain + stop


def test_the_supervisor_reports_to_systemd_and_stops_its_backends_itself(
    service: dict[str, list[str]],
) -> None:
    assert service["Type"] == ["notify"]
    assert service["NotifyAccess"] == ["main"]
    assert service["KillMode"] == ["mixed"]


def test_the_service_runs_the_command_of_the_package(service: dict[str, list[str]]) -> None:
    (start,) = service["ExecStart"]
    program, command, file = start.split()
    assert program.startswith("/opt/blue-green/")
    assert Path(program).name == "blue-green"
    assert command == "run"
    assert Path(file).is_absolute()


def test_systemctl_reload_reaches_this_supervisor(service: dict[str, list[str]]) -> None:
    (start,), (reload,) = service["ExecStart"], service["ExecReload"]
    program, _, file = start.split()
    assert reload.split() == [program, "reload", "--config", file]


def test_the_unit_allows_more_descriptors_than_max_connections_needs(
    service: dict[str, list[str]],
) -> None:
    (descriptors,) = service["LimitNOFILE"]
    assert int(descriptors) > 2 * ProxySettings().max_connections


def _default_stop_timeout() -> float:
    ports = Ports(((Port(1),), (Port(2),)))
    return AppSettings(Argv(("true",)), ports).stop_timeout
