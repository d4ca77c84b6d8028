"""How each fault is made to happen, and how it is taken away again."""

import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import trio

from blue_green.system import procfs
from tests.faults.scene import Scene
from tests.waiting import until

PYTHON = shutil.which("python3", path="/usr/bin:/bin")
"""One that every user may run."""
NOBODY = 65534
A_DAY = 86400
LAST = b"\r\n0\r\n\r\n"
"""The last chunk of a body, after another one."""

ASK = """
import socket
sock = socket.socket(socket.AF_UNIX)
sock.connect("control.sock")  # The state directory is where we are: others may not search above.
sock.sendall(b'{"command": "pause"}\\n')
print(sock.makefile().read())
"""

# --- backends ---


async def new_dies(scene: Scene) -> None:
    scene.kill_new()


async def old_dies(scene: Scene) -> None:
    scene.kill_old()


async def both_die(scene: Scene) -> None:
    scene.kill_new()
    scene.kill_old()


async def new_process_dies(scene: Scene) -> None:
    async def worker() -> int | None:
        processes = (await scene.site.status())["processes"]
        found = [one for process in processes for one in process["instances"]]
        return next((one["pid"] for one in found if one["revision"] == scene.new), None)

    os.kill(await until("it runs", worker), signal.SIGKILL)


async def old_process_dies(scene: Scene) -> None:
    for pid in scene.workers:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


async def port_is_stolen(scene: Scene) -> None:
    """What starts has answered no probe yet; now it dies, and a stranger has its port."""
    port = await _port_that_starts(scene)
    scene.kill_new()
    await _take(scene, port)


async def port_is_taken(scene: Scene) -> None:
    """A stranger has it, and would answer whatever the candidate is asked."""
    await _take(scene, await _port_that_starts(scene))


async def _port_that_starts(scene: Scene) -> int:
    """The port of the candidate, or of the release that wakes."""
    status = await scene.site.status()
    port: int = (status["candidate"] or status["live"])["ports"][0]
    return port


async def _take(scene: Scene, port: int) -> None:
    stolen = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen"

    async def answer(stream: trio.SocketStream) -> None:
        async with stream:
            while await stream.receive_some():
                await stream.send_all(stolen)

    listener: Any = None

    async def has_it() -> bool:
        nonlocal listener
        with suppress(OSError):  # It takes the kernel a moment to end all threads.
            (listener,) = await trio.open_tcp_listeners(port, host="127.0.0.1")
        return listener is not None

    await until("the stranger has the port", has_it)
    scope = trio.CancelScope()
    scene.kept["stranger"] = scope

    async def serve() -> None:
        with scope:
            await trio.serve_listeners(answer, [listener])

    scene.nursery.start_soon(serve)


async def port_is_given_back(scene: Scene) -> None:
    scene.kept["stranger"].cancel()


async def it_has_talked(scene: Scene) -> None:
    """It takes a while, in which requests are answered all the same."""
    await until("it has written all", lambda: scene.site.journal("talked") or scene.died)


# --- clients that take their time ---


async def _begin(scene: Scene, request: bytes, *, reads: int, pause: float) -> bytearray:
    """Send this, and read the answer so slowly, until the fault is healed; what has come of it."""
    stream = await trio.open_tcp_stream("127.0.0.1", scene.site.port)
    received = bytearray()
    scope = trio.CancelScope()
    scene.kept.setdefault("clients", []).append(scope)

    async def read() -> None:
        async with stream:
            with scope, suppress(trio.BrokenResourceError):
                while data := await stream.receive_some(reads):
                    received.extend(data)
                    await trio.sleep(pause)

    await stream.send_all(request)
    scene.nursery.start_soon(read)
    return received


async def streams_are_open(scene: Scene) -> None:
    request = b"GET /events HTTP/1.1\r\nHost: h\r\n\r\n"
    streams = [await _begin(scene, request, reads=16_384, pause=0) for _ in range(3)]
    await until("the streams have begun", lambda: all(b"hello" in one for one in streams))
    scene.kept["streams"] = streams


async def streams_have_ended(scene: Scene) -> None:
    """Those to a release that was replaced, and each with its last chunk."""
    if scene.receipt and scene.receipt["outcome"] == "promoted":
        streams = scene.kept["streams"]
        await until("each has its end", lambda: all(one.endswith(LAST) for one in streams))
    await clients_leave(scene)


async def clients_are_slow(scene: Scene) -> None:
    download = b"GET /endless HTTP/1.1\r\nHost: h\r\n\r\n"
    upload = b"POST /upload HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nbegun"
    begun = await _begin(scene, download, reads=1000, pause=0.1)
    await _begin(scene, upload, reads=1000, pause=0.1)
    await until("the download has begun", lambda: len(begun) > 200)


async def clients_leave(scene: Scene) -> None:
    for scope in scene.kept["clients"]:
        scope.cancel()


# --- data in the wrong place ---


def _database(scene: Scene) -> Path:
    return scene.site.state / "releases" / scene.old[:12] / "data.db"


async def data_is_in_the_release(scene: Scene) -> None:
    with closing(sqlite3.connect(_database(scene))) as data, data:
        data.execute("create table words (word text)")


async def data_is_moved_away(scene: Scene) -> None:
    _database(scene).unlink()


# --- the supervisor and its memory ---


async def supervisor_is_killed(scene: Scene) -> None:
    if scene.phase == "retire":  # It has been promoted, which must not be forgotten.
        live = scene.new
        await until("it is remembered", lambda: scene.site.remembered()["live"]["revision"] == live)
        alive = set(filter(procfs.is_alive, scene.live["pids"]))
        assert alive or scene.died, "it was remembered only when the old one had ended"
    await scene.kill_supervisor()


async def supervisor_is_stopped(scene: Scene) -> None:
    await scene.terminate_supervisor()


async def disk_is_full(scene: Scene) -> None:
    with (scene.site.state / "ballast").open("wb", buffering=0) as ballast:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    ballast.write(bytes(size))
            except OSError:
                continue  # It is full, but for what is less than this size.


async def disk_has_room(scene: Scene) -> None:
    (scene.site.state / "ballast").unlink()


async def state_is_unwritable(scene: Scene) -> None:
    """Root may write anywhere; but a directory is in the way of anybody."""

    def is_in_the_way() -> bool:
        try:
            (scene.site.state / "state.toml.new").mkdir()
        except FileExistsError:
            return False  # It is being written right now.
        return True

    await until("a directory is in the way", is_in_the_way)


async def state_is_writable(scene: Scene) -> None:
    (scene.site.state / "state.toml.new").rmdir()


def _change_state(scene: Scene, changes: Mapping[str, str]) -> None:
    """In the state file, replace what matches each pattern."""
    file = scene.site.state / "state.toml"
    text = file.read_text()
    for pattern, change in changes.items():
        text = re.sub(pattern, change, text, flags=re.DOTALL)
    file.write_text(text)


async def state_is_truncated(scene: Scene) -> None:
    """In the middle of a word: between two tables, what is left would be a whole file."""
    _change_state(scene, {r'(revision = "[0-9a-f]{9}).*': r"\1"})


async def state_is_garbage(scene: Scene) -> None:
    (scene.site.state / "state.toml").write_bytes(b"\0\x01 not TOML [\xff")


async def state_is_newer(scene: Scene) -> None:
    _change_state(scene, {"version = 1": "version = 99"})


async def memory_is_of_the_future(scene: Scene) -> None:
    """As if the clock had been set back by a day since: moments, and the marks of releases."""
    _change_state(scene, {r'at = "\d{4}': 'at = "2999', r"began = (\d+)": r"began = \g<1>0"})
    tomorrow = time.time() + A_DAY
    for path in (scene.site.state / "state.toml", *(scene.site.state / "built").iterdir()):
        os.utime(path, (tomorrow, tomorrow))


async def socket_is_stale(scene: Scene) -> None:
    """A supervisor that is killed leaves one behind; one that stopped does not."""
    path = scene.site.state / "control.sock"
    if not path.is_socket():
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(path))


async def second_supervisor(scene: Scene) -> None:
    command = [sys.executable, "-m", "blue_green", "run", str(scene.site.config_file)]
    done = await trio.run_process(command, capture_stderr=True, check=False)
    assert scene.site.process is not None
    assert done.returncode != 0
    assert f"another supervisor, pid {scene.site.process.pid}" in done.stderr.decode()


# --- whoever is at the control socket ---


async def _say(scene: Scene, data: bytes, answer: str) -> None:
    async with await trio.open_unix_socket(str(scene.site.state / "control.sock")) as stream:
        answered = b""
        try:
            await stream.send_all(data)
            await stream.send_eof()
        except trio.BrokenResourceError:
            pass  # It has heard enough, and has answered already.
        try:
            async for more in stream:
                answered += more
        except trio.BrokenResourceError:
            pass
        assert answer in answered.decode(), answered


async def client_is_silent(scene: Scene) -> None:
    path = str(scene.site.state / "control.sock")
    scene.kept["silent"] = await trio.open_unix_socket(path)


async def client_leaves(scene: Scene) -> None:
    await scene.kept["silent"].aclose()


async def client_sends_garbage(scene: Scene) -> None:
    await _say(scene, b"\0\xff{{\n", "this is not a line of JSON")


async def client_sends_half_a_line(scene: Scene) -> None:
    await _say(scene, b'{"command": "paus', "the line is incomplete")


async def client_sends_a_megabyte(scene: Scene) -> None:
    await _say(scene, bytes(1 << 20), "")


async def asker_leaves(scene: Scene) -> None:
    """The swap that somebody asked for goes on; what it comes to is seen in the status."""
    async with await trio.open_unix_socket(str(scene.site.state / "control.sock")) as stream:
        await stream.send_all(b'{"command": "swap", "revision": "%b"}\n' % scene.new.encode())


async def another_user_asks(scene: Scene) -> None:
    """The socket's mode keeps others out; and if it did not, the supervisor would."""
    if os.geteuid() != 0 or PYTHON is None:
        return  # Only root can send somebody else.
    path: Path = scene.site.state / "control.sock"
    for mode, answer in (
        (0o600, "PermissionError"),
        (0o666, "only root and the"),
    ):
        path.chmod(mode)
        done = await trio.to_thread.run_sync(lambda: subprocess.run(
            [PYTHON or "", "-c", ASK], cwd=scene.site.state, user=NOBODY, group=NOBODY,
            extra_groups=[], capture_output=True, text=True, check=False,
        ))  # fmt: skip
        assert answer in done.stdout + done.stderr, done
    path.chmod(0o600)
