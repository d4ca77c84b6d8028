"""The server side of the control socket."""

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

REQUEST_TIMEOUT = 10.0
"""Seconds for a client to send its request."""

SELECTORS = ("site", "directory")
"""The keys of a `Selector` in a request."""

Send = Callable[[dict[str, Any]], Awaitable[None]]
"""Sends an event to the client."""


class ControlSocketError(Exception):
    """The control socket cannot be opened; str() says why."""


class Refusal(Exception):
    """A command cannot be carried out; str() says why. `usage`: its arguments are wrong."""

    def __init__(self, why: str, *, usage: bool = False) -> None:
        super().__init__(why)
        self.usage = usage


@frozen
class Operation:
    """A command: its arguments and its handler."""

    arguments: type[Any]
    """An attrs class."""
    handle: Callable[[Any, Send], Awaitable[dict[str, Any]]]
    """`handle(arguments, send)` returns the result, or raises `Refusal`."""
    is_of_site: bool = False
    """It is a command to a site: its handler gets a `SiteRequest` instead of the arguments."""


@frozen
class Selector:
    """How a request says which site it is for."""

    site: str | None = None
    """Its name."""
    directory: str | None = None
    """The current directory of the client, which may be in the checkout of a site."""


@frozen
class SiteRequest:
    """A request to a site, with the arguments of the command."""

    selector: Selector
    arguments: Any


@contextmanager
def listening(path: Path, handed: int | None = None) -> Iterator[socket.socket]:
    """A socket that only our user and root can connect to; raise `ControlSocketError`.

    `handed` is the descriptor of one that already listens there; it is closed at the end.
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
    """Carry out commands until cancelled. Clients do not affect each other."""
    listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))
    converter = _converter(commands)

    async def handle(stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError):  # The client has gone; its request goes on.
            await _serve_client(stream, commands, converter)

    await trio.serve_listeners(handle, [listener])


async def _serve_client(
    stream: trio.SocketStream, commands: Mapping[str, Operation], converter: Converter
) -> None:
    async with stream:

        async def send(event: dict[str, Any]) -> None:
            await stream.send_all(encode(event))

        try:
            # Closing with unread data would reset the connection, and lose the response.
            line = await _read_line(stream)
            if _peer_uid(stream) not in (0, os.geteuid()):
                raise Refusal("only root and the supervisor's user may do this")
            await throttle.wait()
            command, arguments = _parse(line, commands, converter)
            result = await command.handle(arguments, send)
        except (BadMessage, Refusal) as error:
            usage = isinstance(error, BadMessage) or error.usage
            await send({"event": "error", "error": str(error), "usage": usage})
        except trio.BrokenResourceError:
            raise
        except Exception:
            logger.exception("internal error in a control command")
            why = "internal error of the supervisor: see its log"
            await send({"event": "error", "error": why, "usage": False})
        else:
            await send({**result, "event": "result"})


async def _read_line(stream: trio.SocketStream) -> bytes:
    line = b""
    with trio.move_on_after(REQUEST_TIMEOUT):
        while b"\n" not in line:
            data = await stream.receive_some()
            line += data
            if not data or len(line) > MAX_LINE:
                break
    complete, newline, _ = line.partition(b"\n")
    if not newline:
        why = "the line is too long" if len(line) > MAX_LINE else "the line is incomplete"
        raise BadMessage(why)
    return complete


def _parse(
    line: bytes, commands: Mapping[str, Operation], converter: Converter
) -> tuple[Operation, Any]:
    message = decode(line)
    name = message.pop("command", None)
    command = commands.get(name) if isinstance(name, str) else None
    if command is None:
        raise BadMessage(f"there is no command {name!r}; there are: {', '.join(commands)}")
    try:
        if not command.is_of_site:
            return command, converter.structure(message, command.arguments)
        named = {key: message.pop(key) for key in SELECTORS if key in message}
        selector = converter.structure(named, Selector)
        return command, SiteRequest(selector, converter.structure(message, command.arguments))
    except (BaseValidationError, ForbiddenExtraKeysError) as error:
        raise BadMessage(f"{name}: {_first_leaf(error)}") from None


def _converter(commands: Mapping[str, Operation]) -> Converter:
    """Make a converter for all commands in advance: it takes milliseconds, which block requests."""
    converter = strict_converter()
    converter.get_structure_hook(Selector)
    for command in commands.values():
        converter.get_structure_hook(command.arguments)
    return converter


def _first_leaf(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _peer_uid(stream: trio.SocketStream) -> int:
    """The user of the client, from the kernel (SO_PEERCRED, unix(7))."""
    credentials = stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    uid: int = struct.unpack("iii", credentials)[1]
    return uid
