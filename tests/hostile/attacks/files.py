"""Files that are work to find or to send."""

import socket
from itertools import count
from typing import Any

import trio

from tests.hostile.attacks import CONNECTIONS, on_each_connection
from tests.hostile.target import TargetSite

DIRECTORY = "files"
"""Is in the checkout, and a path of `link`: so the attacker can put files there."""
SERVED: dict[str, dict[str, Any]] = {
    "files": {f"/{DIRECTORY}/": DIRECTORY},
    "release": {"link": [f"{DIRECTORY}/"]},
}
LARGE = 50 * 1024 * 1024


def _get(path: bytes, fields: bytes = b"") -> bytes:
    return b"GET /files/%b HTTP/1.1\r\nHost: test.example\r\n%b\r\n" % (path, fields)


async def odd_paths(target: TargetSite) -> None:
    """Paths that nobody asked for before: each one is searched, deep down and in vain."""
    numbers = count()
    deep = target.checkout / DIRECTORY / "/".join(["d"] * 60)
    deep.mkdir(parents=True, exist_ok=True)
    path = b"d/" * 60

    async def send(stream: trio.SocketStream) -> None:
        while True:
            number = next(numbers)
            odd = (b"%d", b"%%2e%%2e/%d", b"%%252e/%d", b"d%d/../x", b"%%ff%d", b"%d/" * 30)
            names = [name % ((number,) * name.count(b"%d")) for name in odd]
            await stream.send_all(b"".join(_get(path + name) for name in names))
            if not await stream.receive_some():
                return

    await on_each_connection(target, send)


async def small_ranges(target: TargetSite) -> None:
    """A byte of a large file, over and over, and all ways to ask for too many of them."""
    with (target.checkout / DIRECTORY / "large").open("wb") as file:
        file.truncate(LARGE)
    ranges = b",".join(b"%d-%d" % (start, start) for start in range(0, 8000, 7))
    requests = b"".join(
        _get(b"large", b"Range: bytes=%b\r\nIf-Range: %b\r\n" % (wanted, b'"a"'))
        + _get(b"large", b"Range: bytes=%d-%d\r\n" % (number * 1_000_000, number * 1_000_000))
        for number, wanted in enumerate([ranges] * 20)
    )

    async def send(stream: trio.SocketStream) -> None:
        await stream.send_all(requests)
        await stream.receive_some(1)

    await on_each_connection(target, send)


async def slow_readers(target: TargetSite) -> None:
    """Forty who ask for a large file, and take nothing of it."""
    with (target.checkout / DIRECTORY / "large").open("wb") as file:
        file.truncate(LARGE)

    async def one() -> None:
        sock = trio.socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await sock.connect(("127.0.0.1", target.port))
        await trio.SocketStream(sock).send_all(_get(b"large"))
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        for _ in range(CONNECTIONS):
            nursery.start_soon(one)
