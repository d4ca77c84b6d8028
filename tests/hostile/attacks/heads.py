"""Request heads that are work to read."""

import socket

import trio

from tests.hostile.attacks import in_threads, on_each_connection
from tests.hostile.target import TargetSite

FIRST = b"GET /attack HTTP/1.1\r\nHost: test.example\r\n"


async def dripping(target: TargetSite) -> None:
    """One byte after the other, as fast as they go, each of which may be the last."""

    async def send(stream: trio.SocketStream) -> None:
        stream.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_NODELAY, 1)
        await stream.send_all(FIRST + b"a: " + b"a" * 8000)
        while True:
            await stream.send_all(b"a")

    await on_each_connection(target, send)


async def heavy(target: TargetSite) -> None:
    """As many fields as may be, none of which was seen before or goes the short way."""

    async def send(stream: trio.SocketStream) -> None:
        number = 0
        while True:
            number += 1
            fields = b"".join(b"_%d: %d\r\n" % (field, number) for field in range(98))
            await stream.send_all(FIRST + fields + b"\r\n")
            if not await stream.receive_some():
                return

    await on_each_connection(target, send)


async def pipelined(target: TargetSite) -> None:
    """Requests, and never an answer read."""
    requests = (FIRST + b"\r\n") * 500

    async def send(stream: trio.SocketStream) -> None:
        while True:
            await stream.send_all(requests)

    await on_each_connection(target, send)


async def spacious(target: TargetSite) -> None:
    """A field of spaces, which somebody might divide among its parts in every possible way."""

    async def send(stream: trio.SocketStream) -> None:
        await stream.send_all(FIRST + b"a:" + b" " * 15_000 + b"\0\r\n\r\n")
        while await stream.receive_some():
            pass

    await on_each_connection(target, send)


async def abandoned(target: TargetSite) -> None:
    """Requests of which nobody waits for the answer, on as many new connections as there can be."""

    def ask_and_leave() -> None:
        with socket.create_connection(("127.0.0.1", target.port), 10) as sock:
            sock.sendall(FIRST + b"\r\n")

    await in_threads(ask_and_leave, pause=0)
