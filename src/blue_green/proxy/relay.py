"""Moving body bytes from one side to the other, a block at a time.

A `Body` knows where it ends. One with a length, or one that ends with its connection, is only
counted; chunks are unwrapped, and those that go on are our own. Nothing is read before what was
read has been sent: a slow receiver slows the sender down, and memory stays flat.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

from blue_green.http.chunks import ChunkReader
from blue_green.http.heads import Fields, Framing
from blue_green.http.transport import BLOCK, Transport
from blue_green.system import throttle

MOST_CHUNKS = 64 * 1024
"""Bytes of chunks taken in at once."""

NO_FIELDS: Fields = []


class BadBody(Exception):
    """The body broke off, or its chunks are not chunks."""


class BodyTooLarge(BadBody):
    """The body is longer than the settings allow."""


class Body(Protocol):
    """The rest of a message. `read` gives the next bytes, and none at the end."""

    @property
    def trailers(self) -> Fields: ...

    @property
    def count(self) -> int:
        """How many bytes it has given."""

    async def read(self) -> bytes: ...


class LengthBody:
    """So many bytes."""

    trailers: Fields = NO_FIELDS

    def __init__(self, transport: Transport, length: int) -> None:
        self.left = length
        self._length = length
        self._transport = transport

    @property
    def count(self) -> int:
        return self._length - self.left

    async def read(self) -> bytes:
        if not self.left:
            return b""
        data = await _receive(self._transport, min(BLOCK, self.left))
        if not data:
            raise BadBody(f"it broke off {self.left} bytes before its end")
        self.left -= len(data)
        return data


class ChunkedBody:
    """What is in the chunks."""

    def __init__(self, transport: Transport, limit: int) -> None:
        self.count = 0
        self._transport = transport
        self._limit = limit
        self._reader = ChunkReader()

    @property
    def trailers(self) -> Fields:
        return self._reader.trailers

    async def read(self) -> bytes:
        while not self._reader.has_ended:
            if self._reader.broken:
                raise BadBody(self._reader.broken)
            if self._reader.has_more:
                await throttle.wait()
                piece = self._reader.feed(b"")
            else:
                data = await _receive(self._transport, MOST_CHUNKS)
                if not data:
                    raise BadBody("it broke off before its last chunk")
                piece = self._reader.feed(data)
            self.count += len(piece)
            if 0 < self._limit < self.count:
                raise BodyTooLarge(f"it is larger than {self._limit} bytes")
            if piece:
                return piece
        self._transport.buffer = self._reader.rest + self._transport.buffer
        self._reader.rest = b""
        return b""


class CloseBody:
    """All that comes until the connection ends."""

    trailers: Fields = NO_FIELDS

    def __init__(self, transport: Transport) -> None:
        self.count = 0
        self._transport = transport

    async def read(self) -> bytes:
        data = await _receive(self._transport)
        self.count += len(data)
        return data


def body_of(transport: Transport, framing: Framing, length: int, limit: int = 0) -> Body:
    """The body that comes on this transport, after a head that was framed so.

    `limit` is for chunks, whose sum nobody tells beforehand: in bytes, 0 for none.
    """
    if framing is Framing.CHUNKED:
        return ChunkedBody(transport, limit)
    if framing is Framing.CLOSE:
        return CloseBody(transport)
    return LengthBody(transport, length if framing is Framing.LENGTH else 0)


async def _receive(transport: Transport, limit: int = BLOCK) -> bytes:
    try:
        return await transport.receive(limit)
    except OSError as error:
        raise BadBody(f"the connection failed: {error.strerror}") from None


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk(fields: Fields) -> bytes:
    lines = [b"%b: %b\r\n" % field for field in fields]
    return b"0\r\n" + b"".join(lines) + b"\r\n"


async def copy(
    body: Body, send: Callable[[bytes], Awaitable[None]], *, chunked: bool, head: bytes = b""
) -> None:
    """Send the body, in chunks or as it is, after the head.

    The head goes out with the first bytes. Give none where these may be long in coming.
    """
    while data := await body.read():
        if chunked:
            data = chunk(data)
        await send(head + data)
        head = b""
    if end := head + (last_chunk(body.trailers) if chunked else b""):
        await send(end)
