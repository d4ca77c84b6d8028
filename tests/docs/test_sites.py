"""The commands of docs/sites.md, run on the machine of a test."""

import getpass
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import trio

from tests.docs.blocks import blocks
from tests.support.several_sites import SeveralSites
from tests.support.site import RealSite

STAND_INS = """
set -e
sudo() { if [ "$1" = -u ]; then shift 2; fi; "$@"; }
systemctl() { echo "systemctl $*"; }
"""
NAMES = ("blog", "shop")


def block(mark: str) -> str:
    """The commands of the page that have this in them."""
    (found,) = [
        one.text for one in blocks("sh") if one.page == "docs/sites.md" and mark in one.text
    ]
    return found


async def said_by(mark: str, directory: Path, replaced: Mapping[str, str]) -> str:
    """Run the commands that have this in them, with other paths; what they wrote."""
    script = STAND_INS + block(mark)
    for old, new in replaced.items():
        script = script.replace(old, new)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = await trio.run_process(
        ["bash", "-c", script],
        cwd=directory,
        env={**os.environ, "PATH": path},
        capture_stdout=True,
        stderr=subprocess.STDOUT,
        check=False,
    )
    said = done.stdout.decode()
    assert done.returncode == 0, said
    return said


async def test_two_supervisors_become_one_that_keeps_their_releases(directory: Path) -> None:
    root, builds = directory, directory / "builds"
    build = {"build": ["sh", "-c", f"echo built >>{builds}"]}
    sites = SeveralSites(directory / "new")
    sites.state = root / "var/lib/blue-green"
    sites.configure(state={"directory": str(sites.state)})
    (root / "srv").mkdir()
    for name in NAMES:
        old = RealSite(directory / name, release=build)
        old.state = root / f"var/lib/blue-green-{name}"
        old.configure(state={"directory": str(old.state)})
        old.commit(f"{name} one")
        async with old.running():
            await old.until_live(old.commit(f"{name} two"))
        (root / "srv" / name).symlink_to(old.checkout)
        sites.add(name, old.app, release=build)
    before = builds.read_text()
    moves = {
        "/srv/": f"{root}/srv/",
        "/var/lib/": f"{root}/var/lib/",
        "app: ": f"{getpass.getuser()}: ",
    }
    await said_by("worktree repair", root, moves)
    async with sites.running():
        for name in NAMES:
            assert await sites.text_of(name) == "two"
            assert len(sites[name].remembered()["history"]) == 2
            done = await sites.cli("rollback", "--site", name)
            assert done.code == 0, done.err
            assert await sites.text_of(name) == "one"
            assert set(sites[name].app.worktrees()) == set(sites[name].releases())
    assert builds.read_text() == before, "a release was built again"
