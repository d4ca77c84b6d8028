"""The supervisor's end of the control socket."""

import logging
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import trio
from attrs import frozen
from cattrs import Converter
from cattrs.errors import BaseValidationError, ForbiddenExtraKeysError

from blue_green.control.messages import MAX_LINE, BadMessage, decode, encode
from blue_green.system import throttle, unix_socket
from blue_green.system.strict import strict_converter

logger = logging.getLogger(__name__)

PATIENCE = 10.0
"""Seconds for a client to say what it wants."""

Tell = Callable[[dict[str, Any]], Awaitable[None]]


class ControlSocketError(Exception):
    """The control socket cannot be opened; str() says why."""


class Refusal(Exception):
    """A command cannot be carried out; str() says why. `usage`: because of how it was given."""

    def __init__(self, why: str, *, usage: bool = False) -> None:
        super().__init__(why)
        self.usage = usage


@frozen
class Operation:
    """What one command takes, and what carries it out."""

    arguments: type[Any]
    """An attrs class."""
    handle: Callable[[Any, Tell], Awaitable[dict[str, Any]]]
    """Gets the arguments, and what sends an event; gives the result, or raises `Refusal`."""


@contextmanager
def listening(path: Path, handed: int | None = None) -> Iterator[socket.socket]:
    """A socket for commands, that only our own user and root can reach; raise `ControlSocketError`.

    `handed` is the descriptor of one that listens there already, and is ours from now on.
    """
    try:
        if handed is None:
            sock = unix_socket.listen(path, mode=0o600, backlog=64)
        else:
            sock = socket.socket(fileno=handed)
    except OSError as error:
        why = error.strerror or str(error)
        raise ControlSocketError(f"[control] socket: cannot listen on {path}: {why}") from None
    inode = path.lstat().st_ino
    try:
        with sock:
            yield sock
    finally:
        unix_socket.remove(path, inode)


async def serve(sock: socket.socket, commands: Mapping[str, Operation]) -> None:
    """Carry out commands until cancelled. One client's trouble is nobody else's."""
    listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))
    converter = _converter(commands)

    async def handle(stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError):  # It went away. What it asked for goes on.
            await _serve_client(stream, commands, converter)

    await trio.serve_listeners(handle, [listener])


async def _serve_client(
    stream: trio.SocketStream, commands: Mapping[str, Operation], converter: Converter
) -> None:
    async with stream:

        async def tell(event: dict[str, Any]) -> None:
            await stream.send_all(encode(event))

        try:
            # Closing with something unread would reset the connection, and lose the answer.
            line = await _read_line(stream)
            if _peer_uid(stream) not in (0, os.geteuid()):
                raise Refusal("only root and the user that the supervisor runs as may do this")
            await throttle.wait()
            command, arguments = _understand(line, commands, converter)
            result = await command.handle(arguments, tell)
        except (BadMessage, Refusal) as error:
            usage = isinstance(error, BadMessage) or error.usage
            await tell({"event": "error", "error": str(error), "usage": usage})
        except trio.BrokenResourceError:
            raise
        except Exception:
            logger.exception("a control command ended with an error of ours")
            why = "the supervisor made an error, which is in its log"
            await tell({"event": "error", "error": why, "usage": False})
        else:
            await tell({**result, "event": "result"})


async def _read_line(stream: trio.SocketStream) -> bytes:
    line = b""
    with trio.move_on_after(PATIENCE):
        while b"\n" not in line:
            data = await stream.receive_some()
            line += data
            if not data or len(line) > MAX_LINE:
                break
    complete, newline, _ = line.partition(b"\n")
    if not newline:
        why = "the line is too long" if len(line) > MAX_LINE else "no complete line came"
        raise BadMessage(why)
    return complete


def _understand(
    line: bytes, commands: Mapping[str, Operation], converter: Converter
) -> tuple[Operation, Any]:
    message = decode(line)
    name = message.pop("command", None)
    command = commands.get(name) if isinstance(name, str) else None
    if command is None:
        raise BadMessage(f"there is no command {name!r}; there are: {', '.join(commands)}")
    try:
        return command, converter.structure(message, command.arguments)
    except (BaseValidationError, ForbiddenExtraKeysError) as error:
        raise BadMessage(f"{name}: {_first_leaf(error)}") from None


def _converter(commands: Mapping[str, Operation]) -> Converter:
    """Knows all commands beforehand: making it takes milliseconds, for which requests wait."""
    converter = strict_converter()
    for command in commands.values():
        converter.get_structure_hook(command.arguments)
    return converter


def _first_leaf(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _peer_uid(stream: trio.SocketStream) -> int:
    """Who is at the other end, as the kernel knows it (SO_PEERCRED, unix(7))."""
    credentials = stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    uid: int = struct.unpack("iii", credentials)[1]
    return uid
