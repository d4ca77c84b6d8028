"""The client of the control socket: what it raises when there is no supervisor, or no more."""

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from blue_green.control import client
from blue_green.control.client import ControlSocket
from tests.support.control import ask, listener_at
from tests.support.other_users import NOBODY, PYTHON, as_root


def test_a_missing_socket_means_no_supervisor(path: Path) -> None:
    with pytest.raises(client.NoSupervisor, match=r"is `blue-green run` running\?"):
        list(client.ask(ControlSocket(path), {"command": "status"}))


def test_a_stale_socket_means_no_supervisor(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    with pytest.raises(client.NoSupervisor, match=str(path)):
        list(client.ask(ControlSocket(path), {"command": "status"}))


@pytest.mark.parametrize(
    "answer", [b"", b'{"event": "phase"}\n', b'{"event": "res', b"nonsense\n", b"{}\n"]
)
async def test_a_supervisor_that_disconnects_raises_lost(
    path: Path, nursery: trio.Nursery, answer: bytes
) -> None:
    listener = listener_at(path)

    async def reply(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            await stream.send_all(answer)

    nursery.start_soon(trio.serve_listeners, reply, [listener])
    with pytest.raises(client.ConnectionLost):
        await ask(path, command="greet")
    nursery.cancel_scope.cancel()


async def test_a_supervisor_that_disconnects_before_reading_raises_lost(
    path: Path, nursery: trio.Nursery
) -> None:
    listener = listener_at(path)
    nursery.start_soon(trio.serve_listeners, trio.aclose_forcefully, [listener])
    with pytest.raises(client.ConnectionLost):
        await ask(path, command="greet", name="too large for the socket's buffer" * 100_000)
    nursery.cancel_scope.cancel()


IMPOSTOR = """\
import socket
server = socket.socket(socket.AF_UNIX)
server.bind("control.sock")
server.listen()
print(flush=True)
while True:
    client, _ = server.accept()
    if client.recv(1000):
        client.sendall(b'{"event": "result"}\\n')
"""


@pytest.fixture
def of_nobody(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A program of nobody's that answers like a supervisor, at `control.sock`."""
    tmp_path.chmod(0o777)
    with subprocess.Popen(
        [PYTHON, "-c", IMPOSTOR], cwd=tmp_path, stdout=subprocess.PIPE, user="nobody"
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n"
        yield process
        process.kill()


@as_root
def test_root_sends_nothing_to_a_program_that_another_user_runs(
    tmp_path: Path, of_nobody: "subprocess.Popen[bytes]"
) -> None:
    path, file = tmp_path / "control.sock", tmp_path / "supervisor.toml"
    file.touch()
    for to in (ControlSocket.found(path), ControlSocket.named_in(file, path)):
        with pytest.raises(client.WrongPeer) as caught:
            list(client.ask(to, {"command": "status"}))
        assert f"pid {of_nobody.pid} of nobody" in str(caught.value)
        assert f"--socket {path}" in str(caught.value)


@as_root
@pytest.mark.parametrize("name", ["supervisor.toml", ".", "explicit"])
def test_root_asks_the_owner_of_the_settings_or_of_the_state_or_who_is_named(
    tmp_path: Path, of_nobody: "subprocess.Popen[bytes]", name: str
) -> None:
    path, file = tmp_path / "control.sock", tmp_path / "supervisor.toml"
    file.touch()
    if name != "explicit":
        os.chown(tmp_path / name, NOBODY.pw_uid, -1)
    to = ControlSocket(path) if name == "explicit" else ControlSocket.named_in(file, path)
    assert list(client.ask(to, {"command": "status"})) == [{"event": "result"}]
