"""The unit that `blue-green unit` makes: it fits the settings, and systemd accepts it."""

import os
import pwd
import shutil
from pathlib import Path

import pytest

from blue_green.preflight import service_unit
from blue_green.preflight.checks import systemd_unit
from blue_green.preflight.service_unit import ServiceUnit
from tests.support import settings
from tests.support.units import problems_of_unit

PROGRAM = Path("/usr/local/bin/blue-green")
AS_SERVICE = '[state]\ndirectory = "/var/lib/blue-green"\n'
NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
OWNER = pwd.getpwnam("daemon")


def unit_for(file: Path, more: str = AS_SERVICE, program: Path = PROGRAM) -> ServiceUnit:
    return service_unit.make(file, settings.load(file, more), program)


def keys(unit: ServiceUnit) -> dict[str, str]:
    return systemd_unit.written(unit.text)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """One that does not belong to root, if we can have that."""
    path = tmp_path / "srv"
    path.mkdir()
    if os.geteuid() == 0:
        os.chown(path, OWNER.pw_uid, OWNER.pw_gid)
    return path


def of(checkout: Path, more: str = AS_SERVICE) -> str:
    return f'[git]\ncheckout = "{checkout}"\n{more}'


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_accepts_it(tmp_path: Path, checkout: Path) -> None:
    for name in ("supervisor.toml", "a b%c.toml"):
        unit = unit_for(tmp_path / name, of(checkout))
        assert problems_of_unit(unit.text, tmp_path / unit.name) == []


def test_it_runs_this_program_with_this_file(tmp_path: Path, checkout: Path) -> None:
    file = tmp_path / "supervisor.toml"
    found = keys(unit_for(file, of(checkout)))
    assert found["ExecStart"] == f"{PROGRAM} run {file}"
    assert found["ExecReload"] == f"{PROGRAM} reload --config {file}"
    assert found["ReadWritePaths"] == str(checkout)
    assert found["StateDirectory"] == "blue-green"


@NEEDS_ROOT
def test_it_runs_as_the_owner_of_the_checkout(tmp_path: Path, checkout: Path) -> None:
    unit = unit_for(tmp_path / "supervisor.toml", of(checkout))
    assert (keys(unit)["User"], unit.notes) == ("daemon", [])
    assert keys(unit)["CapabilityBoundingSet"] == "CAP_NET_BIND_SERVICE"


@NEEDS_ROOT
def test_root_runs_it_if_users_differ(tmp_path: Path, checkout: Path) -> None:
    more = f'user = "www-data"\n{of(checkout)}'
    found = keys(unit_for(tmp_path / "supervisor.toml", more))
    assert (found["User"], found["Group"], found["UMask"]) == ("root", "root", "0022")
    assert "CAP_SETUID" in found["CapabilityBoundingSet"]


@NEEDS_ROOT
def test_a_checkout_of_root_is_reported(tmp_path: Path) -> None:
    (tmp_path / "srv").mkdir()
    unit = unit_for(tmp_path / "supervisor.toml", of(tmp_path / "srv"))
    assert any("root owns a checkout" in note for note in unit.notes)
    missing = unit_for(tmp_path / "supervisor.toml", of(tmp_path / "gone"))
    assert any("is unknown" in note for note in missing.notes)


def test_it_gives_a_stop_the_time_that_it_needs(tmp_path: Path, checkout: Path) -> None:
    assert keys(unit_for(tmp_path / "supervisor.toml", of(checkout)))["TimeoutStopSec"] == "70"
    longer = of(checkout, "[swap]\ndrain_timeout = '100s'\n[proxy]\nmax_connections = 50000\n")
    found = keys(unit_for(tmp_path / "supervisor.toml", longer))
    assert (found["TimeoutStopSec"], found["LimitNOFILE"]) == ("140", "150000")


def test_state_beside_the_settings_stays_writable(tmp_path: Path, checkout: Path) -> None:
    unit = unit_for(tmp_path / "supervisor.toml", of(checkout, ""))
    assert "StateDirectory" not in keys(unit)
    assert keys(unit)["ReadWritePaths"].split() == sorted(
        [str(checkout), str(tmp_path / ".blue-green")]
    )
    assert any('set directory = "/var/lib/blue-green"' in note for note in unit.notes)


@NEEDS_ROOT
def test_a_program_in_a_home_directory_is_reported(tmp_path: Path, checkout: Path) -> None:
    program = Path("/root/.local/bin/blue-green")
    unit = unit_for(tmp_path / "supervisor.toml", of(checkout), program)
    assert "daemon may not be able to run /root/.local/bin/blue-green" in "".join(unit.notes)
    assert keys(unit)["ProtectHome"] == "no"


def test_comments_about_what_to_change_are_left_out(tmp_path: Path, checkout: Path) -> None:
    text = unit_for(tmp_path / "supervisor.toml", of(checkout)).text
    assert "CHANGE" not in text
    assert text.count("LOOSEN: ") > 10


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("/etc/blue-green/supervisor.toml", "blue-green.service"),
        ("/etc/blue-green/blog.toml", "blue-green-blog.service"),
        ("/etc/my shop.toml", "blue-green-my-shop.service"),
    ],
)
def test_each_of_several_supervisors_has_a_unit_of_its_own(file: str, name: str) -> None:
    assert service_unit.name_for(Path(file)) == name
