"""Bodies of any size, made and checked piece by piece."""

import os
import zlib
from pathlib import Path

from tests.raw.backend import Script
from tests.raw.peer import Peer

MB = 1024 * 1024
BLOCK = os.urandom(MB)
MOST_MEMORY = 16 * MB
"""What the whole process, with both ends of the test in it, may need more than before."""

IN_KERNEL = 48
"""MB that the kernel may hold on the way, at the very most: four sockets' buffers and a pipe."""


def memory() -> int:
    """The process's resident memory in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def block(framing: str) -> bytes:
    """A block of the body, framed so."""
    return b"%x\r\n%b\r\n" % (MB, BLOCK) if framing == "chunked" else BLOCK


def last(framing: str) -> bytes:
    return b"0\r\n\r\n" if framing == "chunked" else b""


def headed(first: bytes, framing: str, size: int) -> bytes:
    """A head for a body of so many MB."""
    fields = {
        "length": b"Content-Length: %d\r\n" % (size * MB),
        "chunked": b"Transfer-Encoding: chunked\r\n",
        "close": b"Connection: close\r\n",
    }
    return first + b"\r\nHost: h\r\n" + fields[framing] + b"\r\n"


class Pouring:
    """Sends a large body, and knows how far it has come and how much memory that took."""

    def __init__(self, framing: str, size: int) -> None:
        self.framing = framing
        self.size = size
        self.sent = 0
        self.before = memory()
        self.grown = 0

    async def to(self, peer: Peer) -> None:
        data = block(self.framing)
        for _ in range(self.size):
            await peer.stream.send_all(data)
            self.sent += 1
            self.grown = max(self.grown, memory() - self.before)
        await peer.stream.send_all(last(self.framing))

    def answer(self) -> Script:
        """A backend whose answer this is."""

        async def script(peer: Peer) -> None:
            await peer.request()
            await peer.send(headed(b"HTTP/1.1 200 OK", self.framing, self.size))
            await self.to(peer)
            if self.framing == "close":
                await peer.close()

        return script


async def take_body(peer: Peer, framing: str, size: int) -> int:
    """Receive a body without remembering it; its checksum."""
    sum_ = count = 0
    left = 0
    while count < size * MB:
        if framing == "chunked" and not left:
            left = int(await peer.until(b"\r\n"), 16)
        data = await peer.some(min(left, MB) if framing == "chunked" else MB)
        sum_ = zlib.crc32(data, sum_)
        count += len(data)
        if framing == "chunked":
            left -= len(data)
            if not left:
                assert await peer.exactly(2) == b"\r\n"
    if framing == "chunked":
        assert await peer.exactly(5) == b"0\r\n\r\n"
    return sum_


def checksum(size: int) -> int:
    sum_ = 0
    for _ in range(size):
        sum_ = zlib.crc32(BLOCK, sum_)
    return sum_


def piece(number: int, framing: str) -> bytes:
    data = b"data: %03d\n\n" % number
    return b"%x\r\n%b\r\n" % (len(data), data) if framing == "chunked" else data
