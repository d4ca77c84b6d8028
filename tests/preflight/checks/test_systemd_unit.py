"""The unit that runs a settings file: how it is found, and whether it leaves time to stop."""

from pathlib import Path

import pytest

from blue_green.preflight.checks import systemd_unit
from blue_green.supervisor import settings_file
from tests.support.check_context import CheckedSite

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
    assert (late.verdict, late.advice) == ("warned", "set TimeoutStopSec=90")
