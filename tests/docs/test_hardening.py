"""Root can do its work with only the privileges that `docs/hardening.md` leaves it."""

import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.blocks import blocks
from tests.support.other_users import NOBODY, PYTHON, a_site, uid_of
from tests.support.site import RealSite
from tests.waiting import until


def unit() -> dict[str, str]:
    """The lines of the page that are put on top of the unit."""
    (block,) = [block for block in blocks("ini") if "CAP_SETUID" in block.text]
    return dict(line.split("=", 1) for line in block.text.splitlines() if "=" in line)


class Confined(RealSite):
    """A site whose supervisor has only what the page names."""

    def start(self, *, held: socket.socket | None = None, **env: str) -> None:
        assert held is None
        names = unit()["CapabilityBoundingSet"].lower().split()
        allowed = ",".join(["-all", *(name.replace("cap_", "+") for name in names)])
        words = ["setpriv", "--no-new-privs", "--bounding-set", allowed, sys.executable, "-m"]
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [*words, "blue_green", "run", str(self.config_file)],
                stderr=log,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **env},
                umask=int(unit()["UMask"], 8),
            )


@pytest.fixture
def directory() -> Iterator[Path]:
    """Root's, with a state directory as systemd makes it."""
    path = Path(tempfile.mkdtemp(prefix="blue-green-"))
    path.chmod(0o755)
    (path / "state").mkdir()
    (path / "state").chmod(int(unit()["StateDirectoryMode"], 8))
    yield path
    shutil.rmtree(path)


confined = pytest.mark.skipif(
    os.geteuid() != 0 or not PYTHON or shutil.which("setpriv") is None,
    reason="needs root, setpriv and a /usr/bin/python3",
)


@confined
async def test_root_can_do_its_work_with_what_the_page_leaves_it(directory: Path) -> None:
    site = a_site(directory, owner=0, kind=Confined, release={"build": ["mkdir", "built"]})
    # Something that leaves the process group is found, and ended, all the same.
    command = ["sh", "-c", f"setsid sleep 600 & exec {PYTHON} app.py"]
    site.configure(app={"user": "nobody", "command": command})
    async with site.running():  # At whose end nothing may be left behind.
        assert (await site.cli("swap", "--retry")).code == 0, site.log()
        # The old release's two are ended after its swap is over.
        await until("one release runs", lambda: len(site.processes()) == 2)
        assert {uid_of(pid) for pid in site.processes()} == {NOBODY.pw_uid}
        assert stat.S_IMODE((site.state / "state.toml").stat().st_mode) == 0o600


@confined
async def test_apps_on_unix_sockets_need_no_other_privileges(directory: Path) -> None:
    site = a_site(directory, owner=0, kind=Confined)
    command = [PYTHON, "app.py", "{socket}"]
    site.configure(app={"user": "nobody", "command": command, "ports": None})
    async with site.running():
        for _ in range(3):  # Each slot is used again after another user's process has had it.
            assert (await site.cli("restart")).code == 0, site.log()
        [path] = (await site.status())["live"]["sockets"]
        assert Path(path).stat().st_uid == NOBODY.pw_uid
        assert (await site.get("/")).status == 200
