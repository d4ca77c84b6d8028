"""The shell commands of the documents, run in order against a real supervisor.

The names that the pages use are replaced with those of a site, what needs root is done without, and
`systemctl` is a stand-in that says what it was asked for, and does no more than a reload.
"""

import getpass
import grp
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from tests.docs import table
from tests.docs.blocks import TOP, Block, blocks
from tests.support.app_checkout import git
from tests.support.site import RealSite

MakeSite = Callable[..., RealSite]

STAND_INS = """
sudo() { if [ "$1" = -u ]; then shift 2; fi; "$@"; }
sudoedit() { cp supervisor.toml "$1"; }
systemctl() {
    echo "systemctl $*"
    [ "$*" != "reload blue-green" ] || blue-green reload --config /etc/blue-green/supervisor.toml
}
ssh() { echo "$1: ${*:2}"; }
"""


def replaced(text: str, site: RealSite) -> str:
    """With the names of the site in place of those of the pages."""
    root = site.directory / "root"
    me, group = getpass.getuser(), grp.getgrgid(os.getegid()).gr_name
    for old, new in {
        "/srv/app": str(site.checkout),
        "/etc/": f"{root}/etc/",
        "/var/lib/blue-green": str(site.state),
        "127.0.0.1:8000": f"127.0.0.1:{site.port}",
        "! -user app": f"! -user {me}",
        "chown -R app:": f"chown -R {me}:",
        "chown root:app": f"chown {me}:{group}",
        "chgrp app": f"chgrp {group}",
        "git rev-parse": f"git -C {site.checkout} rev-parse",
    }.items():
        text = text.replace(old, new)
    return text


async def said_by(block: Block, how: table.Run, site: RealSite) -> str:
    """Run a block; what it wrote."""
    script = f"{STAND_INS}\nset {'+e' if how.may_fail else '-e'}\n{block.text}"
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with trio.fail_after(60):
        done = await trio.run_process(
            ["bash", "-c", replaced(script, site)],
            cwd=site.directory,
            env={**os.environ, "PATH": path},
            capture_stdout=True,
            stderr=subprocess.STDOUT,  # With standard output, in the order in which it was written.
            check=False,
        )
    said = done.stdout.decode()
    assert done.returncode == 0, f"{block} ended with {done.returncode}:\n{said}"
    return said


@pytest.fixture
async def site(make_site: MakeSite) -> RealSite:
    """Two revisions, an origin with a third that is broken, and the directories of a machine."""
    site = make_site()
    site.commit("one")
    git(site.directory, "clone", "-q", "--bare", str(site.checkout), "origin")
    git(site.checkout, "remote", "add", "origin", str(site.directory / "origin"))
    git(site.checkout, "push", "-q", "origin", f"{site.draft(raises='no')}:refs/heads/broken")
    git(site.checkout, "fetch", "-q", "origin")
    units = site.directory / "root/etc/systemd/system"
    (units / "blue-green.service.d").mkdir(parents=True)
    shutil.copy(TOP / "deploy" / "blue-green.service", units)
    return site


async def test_the_commands_of_the_documents_do_what_the_documents_say(site: RealSite) -> None:
    shown = {(block.page, block.text.splitlines()[0]): block for block in blocks("sh")}
    async with site.running():
        await site.until_live(site.commit("two"))
        for key, how in table.RUN.items():
            if how.needs and not shutil.which(how.needs):
                continue
            said, place = await said_by(shown[key], how, site), 0
            for text in how.says:
                place = said.find(text, place)
                assert place >= 0, f"{shown[key]}: {text!r} is not (in its turn) in\n{said}"
    await said_by(shown[table.AT_THE_END], table.Run(), site)
    assert site.worktrees() == []
    assert not site.state.exists()
