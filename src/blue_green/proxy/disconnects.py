"""Notice clients that disconnect, without reading what they sent.

The body of a request that waits must not be read, so the end of the client's stream can lie behind
bytes that stay in the kernel. `EPOLLRDHUP` reports it all the same (epoll_ctl(2)), and one epoll
for all clients needs neither a task nor a system call per request.

A client that shuts down its sending side counts as disconnected, as in nginx and in Go's net/http.
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
        """Watch a socket until it is closed. Call `forget` at that moment."""
        self._callbacks[sock.fileno()] = callback
        self._epoll.register(sock, select.EPOLLRDHUP | select.EPOLLET)

    def forget(self, descriptor: int) -> None:
        """Stop watching a socket that is closed, since the next one may get the same descriptor."""
        del self._callbacks[descriptor]

    async def run(self) -> None:
        """Call back for each disconnect, until cancelled."""
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
