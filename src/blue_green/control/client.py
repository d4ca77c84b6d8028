"""The client side of the control socket, without trio, so that commands start fast."""

import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from blue_green.control.messages import BadMessage, decode, encode


class NoSupervisor(Exception):
    """No supervisor listens on the socket; str() says what to do."""


class ConnectionLost(Exception):
    """The supervisor ended before it had answered."""


def ask(
    path: Path, request: dict[str, Any], *, timeout: float | None = None
) -> Iterator[dict[str, Any]]:
    """Send a request; yield each object of the response as it comes.

    Raises `NoSupervisor`, or `ConnectionLost`, also if nothing comes for `timeout` seconds.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(timeout)
        try:
            sock.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            raise NoSupervisor(
                f"no supervisor listens on {path}: is `blue-green run` running?"
            ) from None
        except OSError as error:
            raise NoSupervisor(f"cannot connect to {path}: {error.strerror or error}") from None
        with suppress(OSError):  # If it has ended, reading its response shows that.
            sock.sendall(encode(request))
        yield from _responses(sock)


def _responses(sock: socket.socket) -> Iterator[dict[str, Any]]:
    with sock.makefile("rb") as lines:
        try:
            for line in lines:
                message = decode(line)
                if not isinstance(message.get("event"), str):
                    raise BadMessage("it does not say which event it is")
                yield message
                if message["event"] in ("result", "error"):
                    return
        except BadMessage as error:
            raise ConnectionLost(f"invalid response from the supervisor: {error}") from None
        except TimeoutError:
            seconds = sock.gettimeout()
            raise ConnectionLost(f"the supervisor has not answered for {seconds:g} s") from None
        except OSError:
            pass
    raise ConnectionLost("the supervisor ended before it answered; it may have run the command")
