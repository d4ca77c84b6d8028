"""A command's end of the control socket. Without trio, so that commands start fast."""

import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from blue_green.control.messages import BadMessage, decode, encode


class NoSupervisor(Exception):
    """Nobody listens there; str() says what to do."""


class Lost(Exception):
    """The supervisor went away before it had answered."""


def ask(
    path: Path, request: dict[str, Any], *, patience: float | None = None
) -> Iterator[dict[str, Any]]:
    """Send a request; give each object of the answer, as it comes.

    Raises `NoSupervisor` or `Lost`, also when nothing comes for `patience` seconds.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(patience)
        try:
            sock.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            raise NoSupervisor(
                f"no supervisor listens on {path}: is `blue-green run` running?"
            ) from None
        except OSError as error:
            raise NoSupervisor(f"cannot connect to {path}: {error.strerror or error}") from None
        with suppress(OSError):  # If it went away, that shows when its answer is read.
            sock.sendall(encode(request))
        yield from _answers(sock)


def _answers(sock: socket.socket) -> Iterator[dict[str, Any]]:
    with sock.makefile("rb") as lines:
        try:
            for line in lines:
                message = decode(line)
                yield message
                if message.get("event") in ("result", "error"):
                    return
        except BadMessage as error:
            raise Lost(f"the supervisor's answer makes no sense: {error}") from None
        except TimeoutError:
            raise Lost(f"the supervisor has not answered for {sock.gettimeout():g} s") from None
        except OSError:
            pass
    raise Lost("the supervisor stopped before it answered; what it was asked may have been done")
