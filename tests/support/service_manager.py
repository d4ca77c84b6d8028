"""What a service tells systemd."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio


@asynccontextmanager
async def service_manager(path: Path) -> AsyncIterator[list[str]]:
    """What a service manager hears while the block lasts, line by line."""
    heard: list[str] = []
    with trio.socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        await sock.bind(str(path))

        async def listen() -> None:
            while True:
                heard.extend((await sock.recv(4096)).decode().splitlines())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            yield heard
            nursery.cancel_scope.cancel()
