"""The client of the control socket: what it raises when there is no supervisor, or no more."""

import socket
from pathlib import Path

import pytest
import trio

from blue_green.control import client
from tests.support.control import ask, listener_at


def test_a_missing_socket_means_no_supervisor(path: Path) -> None:
    with pytest.raises(client.NoSupervisor, match=r"is `blue-green run` running\?"):
        list(client.ask(path, {"command": "status"}))


def test_a_stale_socket_means_no_supervisor(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    with pytest.raises(client.NoSupervisor, match=str(path)):
        list(client.ask(path, {"command": "status"}))


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
