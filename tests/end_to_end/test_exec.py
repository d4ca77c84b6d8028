"""`blue-green exec`: in the live release, as the app's user, with its environment."""

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from tests.support.other_users import NOBODY, PYTHON, a_site, as_root
from tests.support.site import RealSite
from tests.support.terminal import shell
from tests.waiting import PATIENCE, until

BLUE_GREEN = (sys.executable, "-m", "blue_green")
ODD = "two\nlines, 'quotes', $HOME, = and gr\u00fcn"
SHOW = """\
import json, os, sys
print(json.dumps({"env": dict(os.environ), "directory": os.getcwd(), "umask": os.umask(0),
    "ids": [*os.getresuid(), *os.getresgid()], "groups": os.getgroups(), "stdin": sys.stdin.read(),
    "descriptors": [name for name in os.listdir("/proc/self/fd") if int(name) > 3]}))
"""


async def run(site: RealSite, *words: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
    """Run a command to its end, without a terminal."""
    command = [*BLUE_GREEN, "exec", "--config", str(site.config_file), *words]

    def run() -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=PATIENCE, check=False,
            env={**os.environ, "OF_ROOT": "1", "TERM": "vt100"}, start_new_session=True,
        )  # fmt: skip

    return await trio.to_thread.run_sync(run)


@as_root
async def test_root_runs_a_command_as_the_user_of_the_app_and_nothing_of_root_is_left(
    directory: Path,
) -> None:
    site = a_site(directory, owner=NOBODY.pw_uid)
    (directory / "secrets.env").write_text(f"ODD={shlex.quote(ODD)}".replace("'\"'\"'", "\\'"))
    site.configure(app={"env_file": ["secrets.env"], "env": {"PLAIN": "x"}})
    async with site.running():
        live = (await site.status())["live"]
        release = site.state / "releases" / live["revision"][:12]
        shown = json.loads((await run(site, PYTHON, "-c", SHOW, stdin="given")).stdout)
        app = _environment_of(live["pids"][0])
        assert app["ODD"] == ODD
        for name in ("PORT", "BLUE_GREEN_PORT", "BLUE_GREEN_SUPERVISOR", "BLUE_GREEN_FAMILY"):
            del app[name]
        assert shown["env"] == {**shown["env"], **app, "TERM": "vt100"}
        assert "OF_ROOT" not in shown["env"]
        assert shown["ids"] == [NOBODY.pw_uid] * 3 + [NOBODY.pw_gid] * 3
        assert shown["groups"] == os.getgrouplist("nobody", NOBODY.pw_gid)
        assert (shown["directory"], shown["stdin"]) == (str(release), "given")
        assert shown["descriptors"] == []

        assert (await run(site, "--", "sh", "-c", "exit 7")).returncode == 7
        assert (await run(site, "sh", "-c", "kill -TERM $$")).returncode == -signal.SIGTERM
        missing = await run(site, "no-such-program")
        assert missing.returncode == 127
        assert "cannot run no-such-program" in missing.stderr
        program = release / ".venv" / "bin" / "no-such-program"
        program.parent.mkdir(parents=True)
        program.touch(0o755)
        nearer = await run(site, "no-such-program")
        assert "; the release has .venv/bin/no-such-program" in nearer.stderr
        with shell(directory, BG=shlex.join([*BLUE_GREEN, "exec"])) as terminal:
            terminal.type("tty; $BG -- sh -c 'tty; id -un; exit 3'; echo =$?=\r")
            found = terminal.until(r"(/dev/pts/\d+)\s+(/dev/pts/\d+)\s+nobody\s+=3=")
            assert found[1] != found[2]


def _environment_of(pid: int) -> dict[str, str]:
    entries = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return dict(entry.split("=", 1) for entry in entries if entry)


@pytest.mark.long
async def test_a_release_in_which_a_command_still_runs_is_not_deleted(
    make_site: Callable[..., RealSite],
) -> None:
    site = make_site(release={"keep": 1})
    one = site.commit("one")
    async with site.running():
        words = [*BLUE_GREEN, "exec", "--config", str(site.config_file), "cat"]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(b"begun\n")
            process.stdin.flush()
            await trio.to_thread.run_sync(process.stdout.readline)
            for text in ("two", "three", "four"):
                last = site.commit(text)
                await site.until_live(last)
            assert one[:12] in site.releases()
            process.stdin.close()
            assert process.wait(PATIENCE) == 0
        await site.until_live(site.commit("five"))
        await until("it is deleted", lambda: one[:12] not in site.releases())


IMPOSTOR = """\
import json, socket
user = {"uid": 0, "gid": 0, "groups": [0], "name": "root", "home": "/", "shell": "/bin/sh"}
env = {"PATH": "/usr/bin:/bin"}
answer = {"event": "result", "directory": "/", "env": env, "user": user, "umask": 18}
server = socket.socket(socket.AF_UNIX)
server.bind("control.sock")
server.listen()
print(flush=True)
client, _ = server.accept()
client.recv(1000)
client.sendall(json.dumps(answer).encode() + b"\\n")
"""


@as_root
def test_the_supervisor_of_another_user_cannot_have_root_run_anything_but_as_that_user(
    tmp_path: Path,
) -> None:
    tmp_path.chmod(0o777)
    with subprocess.Popen(
        [PYTHON, "-c", IMPOSTOR],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        user=NOBODY.pw_uid,
        group=NOBODY.pw_gid,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n"
        words = [*BLUE_GREEN, "exec", "--socket", "control.sock", "--", "sh", "-c", "id -u; id -G"]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
        process.kill()
    assert done.stdout.split() == [str(NOBODY.pw_uid), str(NOBODY.pw_gid)]
