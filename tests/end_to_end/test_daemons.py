"""Processes that leave their group and session and clear their environment are still found."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from blue_green.system import procfs, supervisor_marker
from tests.support.killed import killed_at_the_end
from tests.support.processes import running
from tests.support.site import RealSite
from tests.waiting import until

MakeSite = Callable[..., RealSite]

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/sbin:/bin")
NGINX_CONF = """
worker_processes 2; pid ./pid; events {}
http {
    access_log off; client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f;
    uwsgi_temp_path u; scgi_temp_path s;
    server { listen 127.0.0.1:PORT; location / { return 200 ok; } }
}
"""

HIDES = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    os.execve(sys.executable, [sys.executable, "-c", {daemon!r}, {word!r}], {{}})
time.sleep({life})
"""
"""A program with a daemon by the book, which has its argument and nothing else that tells of it."""

DAEMON = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"


def with_argument(word: str) -> list[int]:
    """The pids of all that were started with this argument, however they hide."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # It is no process, or has just ended.
        if entry.name.isdigit() and word.encode() in words and procfs.is_alive(int(entry.name)):
            found.append(int(entry.name))
    return found


def hiding(directory: Path, life: float = 600) -> str:
    """The program; what it leaves has `directory` for its last argument."""
    return HIDES.format(daemon=DAEMON, word=str(directory), life=life)


@contextmanager
def sure_to_end(word: str) -> Iterator[None]:
    """Whatever the test finds, none is left."""
    try:
        yield
    finally:
        for pid in with_argument(word):
            procfs.send(signal.SIGKILL, pid)


async def test_a_hidden_daemon_ends_with_its_command(tmp_path: Path) -> None:
    with sure_to_end(str(tmp_path)):
        async with running(tmp_path, hiding(tmp_path)) as it:
            (pid,) = await until("the daemon runs", lambda: with_argument(str(tmp_path)))
            assert procfs.group_of(pid) != it.process.pid
            await it.process.stop(signal.SIGTERM, 0.3)
            assert with_argument(str(tmp_path)) == []


async def test_a_hidden_daemon_ends_when_its_command_ends_by_itself(tmp_path: Path) -> None:
    with sure_to_end(str(tmp_path)):
        async with running(tmp_path, hiding(tmp_path, life=0)) as it:
            with trio.fail_after(10):
                await it.process.gone.wait()
            await until("the daemon has ended", lambda: with_argument(str(tmp_path)) == [])


async def test_a_hidden_daemon_of_another_command_stays(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    with sure_to_end(str(one)), sure_to_end(str(other)):
        async with running(tmp_path, hiding(one)) as it, running(tmp_path, hiding(other)):
            await until("both run", lambda: with_argument(str(one)) and with_argument(str(other)))
            await it.process.stop(signal.SIGTERM, 0.3)
            assert with_argument(str(one)) == []
            assert with_argument(str(other)) != []


async def test_a_hidden_daemon_counts_as_one_of_its_supervisor(tmp_path: Path) -> None:
    with sure_to_end(str(tmp_path)):
        async with running(tmp_path, hiding(tmp_path)):
            (pid,) = await until("the daemon runs", lambda: with_argument(str(tmp_path)))
            assert pid in procfs.pids_of_supervisor(supervisor_marker.entry(tmp_path))
            assert pid not in procfs.pids_of_supervisor(supervisor_marker.entry(tmp_path / "other"))


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
async def test_nginx_that_daemonises_fails_its_swap_and_frees_its_port(make_site: MakeSite) -> None:
    run = f"""
        [ -e nginx.conf.in ] || exec {sys.executable} app.py
        sed "s/PORT/$PORT/" nginx.conf.in >nginx.conf
        exec {NGINX} -p "$PWD/" -c nginx.conf -e err
    """
    site = make_site(app={"command": ["sh", "-c", run]})
    good = site.commit("good")
    bad = site.draft(files={"nginx.conf.in": NGINX_CONF})

    def nginxes() -> list[int]:
        titles = subprocess.run(["ps", "-eo", "pid,args"], check=True, capture_output=True).stdout
        ours = [line for line in titles.decode().splitlines() if f"{site.state}/" in line]
        return [int(line.split()[0]) for line in ours if "nginx: master" in line]

    async with site.running():
        for _ in range(2):
            receipt = await site.ask("swap", revision=bad, retry=True)
            assert receipt["outcome"] == "failed"
            assert "ended with exit status 0" in receipt["reason"], "its port would be taken else"
            assert nginxes() == []
        assert (await site.status())["live"]["revision"] == good


async def test_hidden_descendants_end_with_their_slot(make_site: MakeSite) -> None:
    site = make_site(app={"stop_timeout": "500ms"})
    site.commit("one", grandchildren="hidden")
    async with site.running():
        first = await until("it has three children", lambda: _four(site))
        two = site.commit("two")
        status = await site.until_live(two)
        await site.until_only_run(status["live"]["pids"])
        assert not any(map(procfs.is_alive, first))


async def test_hidden_descendants_end_when_the_supervisor_restarts(make_site: MakeSite) -> None:
    site = make_site(app={"stop_timeout": "500ms"})
    site.commit("one", grandchildren="hidden")
    async with killed_at_the_end(site):
        first = await until("it has three children", lambda: _four(site))
    assert all(map(procfs.is_alive, first)), "this test is about what is left behind"
    async with site.running():
        assert not any(map(procfs.is_alive, first))


def _four(site: RealSite) -> list[int]:
    """The backend with its children, when nothing else runs."""
    found = site.processes()
    return found if len(found) == 4 else []
