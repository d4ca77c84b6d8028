"""Listening sockets: opened by us, or inherited."""

import errno
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from blue_green.config.kinds import Endpoint
from blue_green.system import unix_socket
from blue_green.system.port_holders import holder_of

BACKLOG = 4096
HTTPS = 443


class CannotListen(Exception):
    """An address in the settings cannot be listened on; str() says why, and what uses it."""


@contextmanager
def listening(
    endpoint: Endpoint, setting: str = "[proxy] listen", handed: int | None = None
) -> Iterator[socket.socket]:
    """A listening socket, until the block ends; raise `CannotListen`, which names the setting.

    `handed` is the descriptor of an inherited one that listens there already.
    """
    sock = open_socket(endpoint, setting) if handed is None else socket.socket(fileno=handed)
    inode = endpoint.path.lstat().st_ino if endpoint.path else 0
    try:
        with sock:
            yield sock
    finally:
        if endpoint.path is not None:
            unix_socket.remove(endpoint.path, inode)


def open_socket(endpoint: Endpoint, setting: str = "[proxy] listen") -> socket.socket:
    """A listening socket; raise `CannotListen`."""
    try:
        if endpoint.path is not None:
            return unix_socket.listen(endpoint.path, mode=0o666, backlog=BACKLOG)
        info = socket.getaddrinfo(
            endpoint.host, endpoint.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, address = info[0][0], info[0][4]
        return socket.create_server(
            address,
            family=family,
            backlog=BACKLOG,
            dualstack_ipv6=family == socket.AF_INET6 and endpoint.host == "::",
        )
    except OSError as error:
        why = error.strerror or str(error)
        if error.errno == errno.EADDRINUSE and endpoint.path is None:
            why = f"{holder_of(endpoint.port)} listens there already"
        elif error.errno == errno.EACCES and endpoint.path is None:
            why = f"{why}: ports below 1024 need the capability CAP_NET_BIND_SERVICE, or root"
        raise CannotListen(f"{setting}: cannot listen on {endpoint}: {why}") from None


def in_words(name: object) -> str:
    """An address as `getsockname` gives it."""
    if isinstance(name, tuple):
        return str(Endpoint(host=name[0], port=name[1]))
    return f"unix:{name}"


def first_port(sockets: Sequence[socket.socket]) -> int:
    """The port for redirects to https; Unix sockets have none."""
    names = [sock.getsockname() for sock in sockets]
    return next((name[1] for name in names if isinstance(name, tuple)), HTTPS)
