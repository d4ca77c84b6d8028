"""The unit that runs a settings file: how it is found, and whether it leaves time to stop."""

from pathlib import Path

import pytest

from blue_green.preflight.checks import systemd_unit
from blue_green.supervisor import settings_file
from blue_green.system import users
from tests.support.check_context import CheckedSite

LONGER = "set TimeoutStopSec=90, as `blue-green unit --install --force` does"
UNIT = """\
[Unit]
Description=[Service]
[Service]
ExecStart=/opt/blue-green run \\
    /etc/blog.toml
TimeoutStopSec=1min 10s
User=blog
"""


def test_the_unit_that_runs_a_settings_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "blog.service").write_text(UNIT)
    (tmp_path / "shop.service").write_text(UNIT.replace("blog", "shop"))
    (tmp_path / "gone.service").symlink_to("nowhere")
    assert [path.name for path in systemd_unit.naming(Path("/etc/blog.toml"), tmp_path)] == [
        "blog.service"
    ]


@pytest.mark.parametrize(
    ("span", "seconds"),
    [("70", 70), ("1min 30s", 90), ("1h", 3600), ("500ms", 0.5), ("infinity", float("inf"))],
)
def test_a_time_span_is_read_as_systemd_does(span: str, seconds: float) -> None:
    assert systemd_unit.seconds(span) == seconds


def test_the_shipped_unit_leaves_enough_time_to_stop(subject: CheckedSite) -> None:
    shipped = Path(__file__).parents[3] / "deploy"
    [found] = systemd_unit.naming(Path("/etc/blue-green/supervisor.toml"), shipped)
    subject.configure()
    settings = settings_file.load(subject.file)
    judged = systemd_unit.judge(found.name, systemd_unit.written(found.read_text()), settings)
    assert [one.text for one in judged][-1] == "70 s are enough for an orderly stop"


def test_a_unit_must_leave_enough_time_to_stop(subject: CheckedSite) -> None:
    subject.configure(swap={"drain_timeout": "30s"}, app={"stop_timeout": "20s"})
    settings = settings_file.load(subject.file)
    too_short = dict(systemd_unit.written(UNIT), TimeoutStopSec="69")
    verdicts = [
        one.verdict for one in systemd_unit.judge("blog", systemd_unit.written(UNIT), settings)
    ]
    assert verdicts[-1] == "passed"
    [_, late] = systemd_unit.judge("blog", too_short, settings)
    assert (late.verdict, late.advice) == ("warned", LONGER)


LOW = {"listen": ["127.0.0.1:443"]}
MAY = f"AmbientCapabilities={systemd_unit.BIND}\nCapabilityBoundingSet={systemd_unit.BIND}\n"


@pytest.fixture
def units(subject: CheckedSite, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of the installed units, with one that runs the settings file."""
    directory = subject.directory / "units"
    directory.mkdir()
    monkeypatch.setattr(systemd_unit, "UNITS", directory)
    monkeypatch.setattr(systemd_unit, "RUNNING", directory / "no systemd")
    (directory / "app.service").write_text(
        f"[Service]\nExecStart=/opt/blue-green run {subject.file}\nUser=app\n"
    )
    return directory


def ambient(subject: CheckedSite) -> list[str]:
    """What is found about the capability for ports below 1024."""
    found = systemd_unit.unit(subject.file, settings_file.load(subject.file))
    return [one.text for one in found if one.about == "app.service: AmbientCapabilities"]


def test_a_service_that_may_not_listen_on_its_ports_is_reported(
    subject: CheckedSite, units: Path
) -> None:
    subject.configure(proxy=LOW)
    [text] = ambient(subject)
    assert text.startswith("the service, which runs as app, may not listen on 443, ports below ")
    assert not systemd_unit.may_bind_low_ports(subject.file)


@pytest.mark.parametrize("lines", [MAY, "User=root\n", "User=root\nCapabilityBoundingSet=~\n"])
def test_the_capability_or_root_is_enough_for_all_ports(
    subject: CheckedSite, units: Path, lines: str
) -> None:
    with (units / "app.service").open("a") as file:
        file.write(lines)
    subject.configure(proxy=LOW)
    assert ambient(subject) == []
    assert systemd_unit.may_bind_low_ports(subject.file)


def test_a_socket_unit_is_enough_for_all_ports(subject: CheckedSite, units: Path) -> None:
    (units / "app.socket").touch()
    subject.configure(proxy=LOW)
    assert ambient(subject) == []


def test_root_without_the_capability_may_not_listen_on_all_ports(
    subject: CheckedSite, units: Path
) -> None:
    with (units / "app.service").open("a") as file:
        file.write("User=root\nCapabilityBoundingSet=CAP_KILL\n")
    subject.configure(proxy=LOW)
    assert len(ambient(subject)) == 1


def test_the_shipped_unit_may_listen_on_all_ports() -> None:
    shipped = Path(__file__).parents[3] / "deploy" / "blue-green.service"
    assert systemd_unit.BIND in systemd_unit.written(shipped.read_text())["AmbientCapabilities"]


def test_high_ports_need_no_capability(subject: CheckedSite, units: Path) -> None:
    subject.configure()
    assert ambient(subject) == []


def test_what_root_may_rely_on_matters_only_if_the_service_runs_as_root(
    subject: CheckedSite, units: Path
) -> None:
    me = users.owner_of(Path("/proc/self")).name
    assert not systemd_unit.runs_as_us(subject.file)
    with (units / "app.service").open("a") as file:
        file.write(f"User={me}\n")
    assert systemd_unit.runs_as_us(subject.file)
    (units / "app.service").unlink()
    assert systemd_unit.runs_as_us(subject.file), "nobody else is known to run it"
