"""Two sites of two users under one supervisor of root: what one can do to the other."""

import json
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.app_checkout import git
from tests.support.other_users import DAEMON, NOBODY, PYTHON, as_root, give_to, uid_of
from tests.support.several_sites import SeveralSites
from tests.support.site import free_ports

pytestmark = as_root

PROBE = """
import ctypes, json, os, socket, sys

def attempt(what, do):
    try:
        results[what] = f"possible: {do()!r}"
    except OSError as error:
        results[what] = type(error).__name__

def connected(family, address):
    with socket.socket(family) as sock:
        sock.settimeout(5)
        sock.connect(address)
        return "connected"

def traced(pid):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(16, pid, None, None) != 0:
        raise OSError(ctypes.get_errno(), "ptrace")
    return "attached"

results, target = {}, json.loads(sys.argv[1])
for path in target["files"]:
    attempt(path, lambda: open(path).read())
for path in target["directories"]:
    attempt(path, lambda: os.listdir(path))
for path in target["sockets"]:
    attempt(path, lambda: connected(socket.AF_UNIX, path))
for port in target["ports"]:
    attempt(str(port), lambda: connected(socket.AF_INET, ("127.0.0.1", port)))
attempt("signal", lambda: os.kill(target["pid"], 0))
attempt("ptrace", lambda: traced(target["pid"]))
print(json.dumps(results))
"""
"""What a program of another user achieves; a name of a possible attempt begins with `possible`."""

SERVE_ON_SOCKET = """
import os, socketserver, sys
from http.server import BaseHTTPRequestHandler

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def address_string(self):
        return "unix"

    def log_message(self, *_):
        pass

os.umask(0)
socketserver.ThreadingUnixStreamServer(sys.argv[1], Handler).serve_forever()
"""
"""An app that lets everybody connect, as far as it decides that."""


def attempts(user: Any, target: dict[str, Any]) -> dict[str, str]:
    """What a program of this user achieves."""
    done = subprocess.run(
        [PYTHON, "-c", PROBE, json.dumps(target)],
        user=user.pw_uid, group=user.pw_gid, extra_groups=[], cwd="/",
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    results: dict[str, str] = json.loads(done.stdout)
    return results


@pytest.fixture
async def sites(directory: Path) -> AsyncIterator[SeveralSites]:
    """`blog` of nobody, on a Unix socket and with a secret; `shop` of daemon, on a port."""
    (admin,) = free_ports(1)
    sites = SeveralSites(directory, admin={"listen": [f"127.0.0.1:{admin}"]})
    blog, shop = sites.add("blog"), sites.add("shop")
    for site in (blog, shop):
        sites.change(site.name, app={"command": [PYTHON, "app.py"]}, release={"link": [".env"]})
        site.commit("one", {"serve.py": SERVE_ON_SOCKET, ".gitignore": ".env\nbuilt\n"})
        git(site.checkout, "branch", "next", site.app.draft(f"{site.name} two"))
        (site.checkout / ".env").write_text("SECRET=1")
        site.app.journal_file.touch()
        give_to(NOBODY if site is blog else DAEMON, site.checkout, site.app.journal_file)
        (site.checkout / ".env").chmod(0o600)
    del blog.settings["app"]["ports"]
    sites.change("blog", app={"command": [PYTHON, "serve.py", "{socket}"]})
    async with sites.running():
        yield sites


async def test_each_site_runs_as_its_own_user(sites: SeveralSites) -> None:
    for name, user in (("blog", NOBODY), ("shop", DAEMON)):
        (pid,) = (await sites.status_of(name))["live"]["pids"]
        assert uid_of(pid) == user.pw_uid
        release = sites[name].state / "releases" / sites[name].releases()[0]
        assert (release / "app.py").stat().st_uid == user.pw_uid


async def test_the_app_of_one_site_cannot_reach_into_another_one(sites: SeveralSites) -> None:
    blog = sites["blog"]
    (pid,) = (await sites.status_of("blog"))["live"]["pids"]
    release = blog.state / "releases" / blog.releases()[0]
    (unix_socket,) = [str(path) for path in blog.state.rglob("*.sock")]
    target = {
        "files": [
            str(release / "app.py"),
            str(release / ".env"),
            str(blog.checkout / ".env"),
            str(blog.state / "state.toml"),
            str(sites["shop"].state / "state.toml"),
            f"/proc/{pid}/environ",
            f"/proc/{pid}/root/etc/hostname",
            f"/proc/{pid}/cwd/app.py",
            f"/proc/{pid}/mem",
        ],
        "directories": [str(release), str(blog.state / "releases"), f"/proc/{pid}/fd"],
        "sockets": [unix_socket, str(sites.state / "control.sock")],
        "ports": [],
        "pid": pid,
    }
    results = attempts(DAEMON, target)
    assert {what: why for what, why in results.items() if why != "PermissionError"} == {}
    own = attempts(NOBODY, {**target, "sockets": [unix_socket]})
    possible = [str(release / "app.py"), str(release / ".env"), unix_socket, "signal"]
    assert all(own[what].startswith("possible") for what in possible), own


async def test_ports_are_open_to_all_users_of_the_machine(sites: SeveralSites) -> None:
    """As docs/hardening.md says: so use `{socket}`, and no public admin address."""
    (port,) = (await sites.status_of("shop"))["live"]["ports"]
    admin = int(sites.sections["admin"]["listen"][0].rpartition(":")[2])
    target = {"files": [], "directories": [], "sockets": [], "ports": [port, admin]}
    results = attempts(NOBODY, {**target, "pid": os.getpid()})
    assert results[str(port)] == results[str(admin)] == "possible: 'connected'"


async def test_a_site_of_one_user_can_be_deployed_and_rolled_back(sites: SeveralSites) -> None:
    """The directories that are closed to other users are open to git, the build and the app."""
    sites.change("shop", release={"build": ["sh", "-c", "id -un > built"]})
    assert (await sites.cli("reload")).code == 0
    done = await sites.cli("swap", "next", "--site", "shop")
    assert done.code == 0, done.err + done.out
    assert await sites.text_of("shop") == "two"
    live = (await sites.status_of("shop"))["live"]["revision"]
    assert (sites["shop"].state / "releases" / live[:12] / "built").read_text() == "daemon\n"
    done = await sites.cli("rollback", "--site", "shop")
    assert done.code == 0, done.err + done.out
    assert await sites.text_of("shop") == "one"
