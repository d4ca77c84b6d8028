"""Bodies in chunks that are work to read."""

import trio

from tests.hostile.attacks import on_each_connection
from tests.hostile.target import TargetSite

HEAD = b"POST /sink HTTP/1.1\r\nHost: test.example\r\nTransfer-Encoding: chunked\r\n\r\n"


async def tiny(target: TargetSite) -> None:
    """One byte a chunk."""
    chunks = b"1\r\na\r\n" * 5000

    async def send(stream: trio.SocketStream) -> None:
        await stream.send_all(HEAD)
        while True:
            await stream.send_all(chunks)

    await on_each_connection(target, send)


async def spacious_trailer(target: TargetSite) -> None:
    """Spaces that may belong to the value or stand after it, and then what is not allowed."""
    trailer = b"0\r\na:" + b" " * 8000 + b"\x01\r\n\r\n"

    async def send(stream: trio.SocketStream) -> None:
        await stream.send_all(HEAD + trailer)
        while await stream.receive_some():
            pass

    await on_each_connection(target, send)
