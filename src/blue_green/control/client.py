"""The client side of the control socket, without trio, so that commands start fast."""

import os
import pwd
import shlex
import socket
import struct
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import frozen

from blue_green.control.messages import BadMessage, decode, encode
from blue_green.system import services


class NoSupervisor(Exception):
    """No supervisor listens on the socket; str() says what to do."""


class NotAllowed(NoSupervisor):
    """It does not serve our user."""


class WrongPeer(NoSupervisor):
    """Another user listens there."""


class ConnectionLost(Exception):
    """The supervisor ended before it had answered."""


@frozen
class SocketOwner:
    """The process that has opened a socket, as the kernel says (SO_PEERCRED, unix(7))."""

    pid: int
    uid: int
    gid: int


@frozen
class ControlSocket:
    """Where the supervisor listens."""

    path: Path
    users: Collection[int] | None = None
    """Who may be the supervisor, besides root, our own user, and a service of systemd. None:
    anybody, because the user of the command has named this socket."""

    @classmethod
    def named_in(cls, file: Path, path: Path) -> "ControlSocket":
        """The one that a settings file names: its owner, and that of the directory, may listen."""
        return cls(path, _owners(file, path.parent))

    @classmethod
    def found(cls, path: Path, file: Path | None = None) -> "ControlSocket":
        """One of a running program, which anybody can start, also with this settings file."""
        return cls(path, _owners(file) if file else ())


def ask(
    to: ControlSocket,
    request: dict[str, Any],
    *,
    timeout: float | None = None,
    on_peer: Callable[[SocketOwner], None] | None = None,
) -> Iterator[dict[str, Any]]:
    """Send a request; yield each object of the response as it comes.

    `on_peer` gets the process that listens there, for commands to which its user matters.

    Raises `NoSupervisor`, such as `WrongPeer`, or `ConnectionLost`, also if nothing comes for
    `timeout` seconds.
    """
    path = to.path
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(timeout)
        try:
            sock.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            raise NoSupervisor(
                f"no supervisor listens on {path}: is `blue-green run` running?"
            ) from None
        except PermissionError:
            raise NotAllowed(
                f"only root and the user of the supervisor at {path} may do this"
            ) from None
        except OSError as error:
            raise NoSupervisor(f"cannot connect to {path}: {error.strerror or error}") from None
        peer = SocketOwner(
            *struct.unpack("iii", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        )
        _check_peer(peer, to)
        if on_peer is not None:
            on_peer(peer)
        with suppress(OSError):  # If it has ended, reading its response shows that.
            sock.sendall(encode(request))
        yield from _responses(sock)


def _owners(*paths: Path) -> Collection[int]:
    owners = set()
    for path in paths:
        with suppress(OSError):
            owners.add(path.stat().st_uid)
    return owners


def _check_peer(peer: SocketOwner, to: ControlSocket) -> None:
    """Raise `WrongPeer` if a user listens there who may not be the supervisor.

    Anybody can run a program that looks like one, and root would believe its answers.
    """
    if to.users is None:
        return
    pid, uid = peer.pid, peer.uid
    if uid in {0, os.geteuid(), *to.users} or services.is_supervisor(pid, uid):
        return
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = f"uid {uid}"
    raise WrongPeer(
        f"{to.path} belongs to pid {pid} of {user}, who may not be the supervisor: neither the "
        "settings file nor its state directory is theirs, and it is no service of systemd. If it "
        f"is the right one: --socket {shlex.quote(str(to.path))}"
    )


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
