"""Learn that a client has gone, without reading what it sent.

A request that waits must not have its body read, and so the end of the client's stream can lie
behind bytes that stay in the kernel. `EPOLLRDHUP` tells of it all the same (epoll_ctl(2)), and
one epoll for all clients needs neither a task nor a system call for each request.

The end of the client's sending counts as its going away, as in nginx and in Go's net/http.
"""

import select
import socket
from collections.abc import Callable

import trio


class Disconnects:
    """Calls back, once, when a watched socket's peer has closed or reset the connection."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[], None]] = {}

    def watch(self, sock: socket.socket, callback: Callable[[], None]) -> None:
        """From now on, until it is closed. In that moment `forget` has to be called, too."""
        self._callbacks[sock.fileno()] = callback
        self._epoll.register(sock, select.EPOLLRDHUP | select.EPOLLET)

    def forget(self, descriptor: int) -> None:
        """The socket with this descriptor is gone: the next one may get the same."""
        del self._callbacks[descriptor]

    async def run(self) -> None:
        """Call those back whose time has come, until cancelled."""
        while True:
            await trio.lowlevel.wait_readable(self._epoll.fileno())
            for descriptor, _ in self._epoll.poll(0):
                if callback := self._callbacks.get(descriptor):
                    callback()

    def __enter__(self) -> "Disconnects":
        return self

    def __exit__(self, *_: object) -> None:
        trio.lowlevel.notify_closing(self._epoll.fileno())
        self._epoll.close()
