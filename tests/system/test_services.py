"""Which processes systemd runs as services of blue-green."""

from pathlib import Path

import pytest

from blue_green.system import procfs, services

RUN = "ExecStart=blue-green run"
OF_USER = "0::/user.slice/user@1000.service/system.slice/shop.service"
IN_SLICE = "0::/system.slice/system-blue.slice/blue-green@shop.service"


@pytest.fixture
def units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of units; pid 5 belongs to user 1000."""
    (tmp_path / "5").mkdir()
    (tmp_path / "5" / "status").write_text("Name:\tpython\nUid:\t1000\t1000\t1000\t1000\n")
    for module in (procfs, services):
        monkeypatch.setattr(module, "PROC", tmp_path)
    monkeypatch.setattr(services, "UNITS", (tmp_path / "units",))
    (tmp_path / "units").mkdir()
    return tmp_path / "units"


@pytest.mark.parametrize(
    ("cgroup", "unit", "text", "expected"),
    [
        ("0::/system.slice/shop.service", "shop.service", RUN, True),
        ("0::/system.slice/shop.service/main", "shop.service", RUN, True),
        (IN_SLICE, "blue-green@.service", RUN, True),
        ("12:pids:/\n1:name=systemd:/system.slice/a.service", "a.service", RUN, True),
        ("0::/system.slice/shop.service", "shop.service", "ExecStart=php-fpm", False),
        ("0::/system.slice/shop.service", "other.service", RUN, False),
        (OF_USER, "shop.service", RUN, False),
        ("0::/", "shop.service", RUN, False),
    ],
)
def test_a_service_is_one_of_the_machine_whose_unit_starts_blue_green(
    units: Path, cgroup: str, unit: str, text: str, expected: bool
) -> None:
    (units.parent / "5" / "cgroup").write_text(f"{cgroup}\n")
    (units / unit).write_text(text)
    assert services.is_supervisor(5, 1000) == expected
    assert not services.is_supervisor(5, 1001)
    assert not services.is_supervisor(6, 1000)
