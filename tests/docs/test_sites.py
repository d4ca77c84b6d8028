"""The commands of docs/sites.md, run on the machine of a test."""

import getpass
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import trio

from tests.docs.blocks import blocks
from tests.support.http_client import HttpClient
from tests.support.launch import start_supervisor, stop_supervisor
from tests.support.repository import Repository
from tests.support.several_sites import SeveralSites
from tests.support.site import RealSite, free_ports
from tests.waiting import until

STAND_INS = """
set -e
sudo() { if [ "$1" = -u ]; then shift 2; fi; "$@"; }
systemctl() { echo "systemctl $*"; }
"""
PAGE = "docs/sites.md"
NAMES = ("blog", "shop")


def block(mark: str) -> str:
    """The commands of the page that have this in them."""
    (found,) = [
        one.text for one in blocks("sh") if one.page == "docs/sites.md" and mark in one.text
    ]
    return found


def replaced(text: str, pairs: Mapping[str, str]) -> str:
    for old, new in pairs.items():
        text = text.replace(old, new)
    return text


async def said_by(mark: str, directory: Path, here: Mapping[str, str], **env: str) -> str:
    """Run the commands that have this in them, with other paths; what they wrote."""
    script = STAND_INS + replaced(block(mark), here)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = await trio.run_process(
        ["bash", "-c", script],
        cwd=directory,
        env={**os.environ, "PATH": path, **env},
        capture_stdout=True,
        stderr=subprocess.STDOUT,
        check=False,
    )
    said = done.stdout.decode()
    assert done.returncode == 0, said
    return said


@pytest.fixture
def checkouts(directory: Path) -> dict[str, Repository]:
    """Three checkouts with a page that has the name of its site."""
    found = {name: Repository(directory / "srv" / name) for name in ("blog", "shop", "wiki")}
    for name, repository in found.items():
        (repository.path / "index.html").write_text(f"{name} one")
        repository.commit()
    return found


async def test_two_checkouts_become_two_sites_and_a_third_is_added(
    directory: Path, checkouts: dict[str, Repository]
) -> None:
    (port,) = free_ports(1)
    here = {path: f"{directory}{path}" for path in ("/srv/", "/var/lib/", "/etc/")}
    here |= {"-p /etc": f"-p {directory}/etc", "[::]:80": f"127.0.0.1:{port}"}
    main, log = directory / "etc/blue-green/supervisor.toml", directory / "log"

    async def shows(name: str, text: str) -> bool:
        async with HttpClient(port) as http:
            answer = await http.get("/", Host=f"{name}.example.com")
            return answer.body.decode() == f"{name} {text}"

    await said_by("init --several", directory, here)
    (toml,) = [one.text for one in blocks("toml") if one.page == PAGE and "include" in one.text]
    main.write_text(replaced(toml, here))
    assert "0 failed" in await said_by("sudo blue-green check", directory, here)
    process = start_supervisor(main, log, env={})
    socket = {"BLUE_GREEN_SOCKET": str(directory / "var/lib/blue-green/control.sock")}
    try:
        await until("the supervisor listens", lambda: "serving 2 sites" in log.read_text())
        for name in NAMES:
            await until(f"{name} answers", lambda name=name: shows(name, "one"))
        await said_by("init --host wiki.example.com", directory, here, **socket)
        await until("wiki answers", lambda: shows("wiki", "one"))
        (checkouts["blog"].path / "index.html").write_text("blog two")
        checkouts["blog"].commit()
        await until("blog is deployed", lambda: shows("blog", "two"))
        said = await said_by("rollback --site blog", directory, here, **socket)
        assert said.index("blog.example.com") < said.index("wiki.example.com")
        assert await shows("blog", "one")
    finally:
        assert await stop_supervisor(process, signal.SIGTERM, log) == 0


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
