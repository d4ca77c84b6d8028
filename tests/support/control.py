"""Clients of the control socket, and servers in its place."""

import socket
from pathlib import Path
from typing import Any

import trio

from blue_green.control import client
from blue_green.control.client import ControlSocket
from tests.waiting import PATIENCE


async def ask(path: Path, **request: Any) -> list[dict[str, Any]]:
    """The whole answer, as a command would get it."""
    with trio.fail_after(PATIENCE):
        return await trio.to_thread.run_sync(
            lambda: list(client.ask(ControlSocket(path), request)), abandon_on_cancel=True
        )


async def last_answer(path: Path, command: str, **arguments: Any) -> dict[str, Any]:
    """The last object of the answer to a command, which may take as long as it likes."""

    def answers() -> list[dict[str, Any]]:
        return list(client.ask(ControlSocket(path), {"command": command, **arguments}))

    return (await trio.to_thread.run_sync(answers, abandon_on_cancel=True))[-1]


def listener_at(path: Path) -> trio.SocketListener:
    """For a supervisor that does not do what it should."""
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(path))
    sock.listen()
    return trio.SocketListener(trio.socket.from_stdlib_socket(sock))
