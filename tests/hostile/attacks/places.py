"""Taking all places there are: for connections, at the gate, and in the log's buffer."""

from collections.abc import Awaitable, Callable

import trio

from tests.hostile.attacks import ADDRESS, AGAIN, command, on_each_connection
from tests.hostile.target import TargetSite

PLACES = 100
"""`max_connections` of the site."""
MORE = 150
"""Connections that one attacker keeps open."""
HEAD = b"%b / HTTP/1.1\r\nHost: test.example\r\n"


async def _hoard(target: TargetSite, begin: Callable[[trio.SocketStream], Awaitable[None]]) -> None:
    """Begin something on more connections than there are places, and again when one ends."""

    async def one() -> None:
        while True:
            try:
                async with await trio.open_tcp_stream(
                    "127.0.0.1", target.port, local_address=ADDRESS
                ) as stream:
                    await begin(stream)
                    while await stream.receive_some():
                        pass
            except (OSError, trio.BrokenResourceError):
                pass
            await trio.sleep(AGAIN)

    async with trio.open_nursery() as nursery:
        for _ in range(MORE):
            nursery.start_soon(one)


async def idle(target: TargetSite) -> None:
    """Ask once, and keep the connection."""

    async def begin(stream: trio.SocketStream) -> None:
        await stream.send_all(HEAD % b"GET" + b"\r\n")

    await _hoard(target, begin)


async def silent(target: TargetSite) -> None:
    """Connect, and never ask."""

    async def begin(stream: trio.SocketStream) -> None:
        pass

    await _hoard(target, begin)


async def stalled_uploads(target: TargetSite) -> None:
    """Send half a body."""

    async def begin(stream: trio.SocketStream) -> None:
        await stream.send_all(HEAD % b"POST" + b"Content-Length: 500000\r\n\r\n" + b"x" * 250_000)

    await _hoard(target, begin)


async def held(target: TargetSite) -> None:
    """Have requests wait at the gate, more than there are places, whenever it is closed."""
    closed = [trio.Event()]

    async def begin(stream: trio.SocketStream) -> None:
        while True:
            await closed[0].wait()
            await stream.send_all(HEAD % b"GET" + b"\r\n")
            if not await stream.receive_some():
                return

    async with trio.open_nursery() as nursery:
        nursery.start_soon(_hoard, target, begin)
        while True:
            await command(target, {"command": "pause", "seconds": 5.0})
            closed[0].set()
            closed[0] = trio.Event()
            await trio.sleep(0.06)
            await command(target, {"command": "resume"})
            await trio.sleep(0.5)


async def long_paths(target: TargetSite) -> None:
    """Requests that each make a long line in the log."""
    request = b"GET /%b HTTP/1.1\r\nHost: test.example\r\n\r\n" % (b"x" * 15_000)

    async def send(stream: trio.SocketStream) -> None:
        while True:
            await stream.send_all(request)
            if not await stream.receive_some():
                return

    await on_each_connection(target, send)
