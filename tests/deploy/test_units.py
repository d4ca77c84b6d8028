"""systemd accepts what `deploy/` holds for it, and rates it as tight as documented."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"
SERVICE = (DEPLOY / "blue-green.service").read_text()
PROGRAM = "/opt/blue-green/venv/bin/blue-green"

pytestmark = pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="systemd's tools are not here"
)


def said_by(*command: str | Path) -> str:
    """What a command says that must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def units(tmp_path: Path) -> Callable[[str], list[Path]]:
    """The units as they would be installed, with a program that is there on this machine."""

    def write(service: str) -> list[Path]:
        (tmp_path / "blue-green.service").write_text(service.replace(PROGRAM, "/bin/true"))
        (tmp_path / "blue-green.socket").write_text((DEPLOY / "blue-green.socket").read_text())
        return [tmp_path / "blue-green.service", tmp_path / "blue-green.socket"]

    return write


def test_systemd_accepts_both_units(units: Callable[[str], list[Path]]) -> None:
    assert said_by("systemd-analyze", "verify", "--man=no", *units(SERVICE)) == ""


def test_systemd_rates_the_exposure_of_the_unit_as_two_or_better(
    units: Callable[[str], list[Path]],
) -> None:
    said_by("systemd-analyze", "security", "--offline=true", "--threshold=20", units(SERVICE)[0])


def test_each_line_that_may_break_an_app_is_marked_loosen() -> None:
    """A tight line stands below a comment that begins with LOOSEN, or cannot be in an app's way."""
    harmless = {
        "ProtectSystem", "ProtectKernelTunables", "ProtectKernelModules", "ProtectKernelLogs",
        "ProtectControlGroups", "ProtectClock", "ProtectHostname", "LockPersonality",
        "CapabilityBoundingSet",
    }  # fmt: skip
    tight = r"(?:Protect|Private|Restrict|Lock|NoNew|Capability|SystemCall(?!Error))\w*"
    above = ""
    for line in SERVICE.splitlines():
        name = line.partition("=")[0]
        if re.fullmatch(tight, name) and name not in harmless:
            assert "# LOOSEN: " in above, name
        above = above + line if line.startswith("#") else ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_sysusers_and_tmpfiles_create_the_user_and_the_directories(tmp_path: Path) -> None:
    secret = tmp_path / "etc" / "blue-green" / "webhook.secret"
    secret.parent.mkdir(parents=True)
    secret.write_text("a secret of sufficient length")
    root = f"--root={tmp_path}"
    said_by("systemd-sysusers", root, DEPLOY / "blue-green.sysusers.conf")
    said_by("systemd-tmpfiles", "--create", root, DEPLOY / "blue-green.tmpfiles.conf")
    name, _, uid, gid, *_ = (tmp_path / "etc" / "passwd").read_text().split(":")
    assert f"\nUser={name}\nGroup={name}\n" in SERVICE
    checkout = re.findall(r"(?m)^ReadWritePaths=(.*)$", SERVICE)[0]
    status = (tmp_path / checkout.lstrip("/")).stat()
    assert (status.st_uid, status.st_gid) == (int(uid), int(gid))
    status = secret.stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o777) == (0, int(gid), 0o640)
