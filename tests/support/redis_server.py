"""A Redis server of the test's own."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import trio

from tests.support.site import free_ports
from tests.waiting import until

REDIS = shutil.which("redis-server")


@contextmanager
def redis_server(directory: Path) -> Iterator[int]:
    """The port of a server that keeps nothing, and ends with the block."""
    assert REDIS is not None
    (port,) = free_ports(1)
    words = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(directory)]
    with (directory / "redis.log").open("wb") as log:
        server = subprocess.Popen([REDIS, *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield port
    finally:
        server.kill()
        server.wait()


async def until_ready(port: int) -> None:
    """Wait until the server answers."""

    async def is_ready() -> bool:
        with suppress(OSError):
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                await stream.send_all(b"PING\r\n")
                return b"+PONG" in await stream.receive_some(100)
        return False

    await until("Redis answers", is_ready)
