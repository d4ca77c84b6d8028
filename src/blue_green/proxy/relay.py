"""Read message bodies block by block, up to where their framing ends them.

A reader reads no further before it has sent what it read: a slow receiver slows the sender down,
and memory stays flat.
"""

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
    """The rest of a message."""

    @property
    def trailers(self) -> Fields: ...

    @property
    def is_complete(self) -> bool:
        """It has been read to its end."""

    @property
    def has_arrived(self) -> bool:
        """Some of it can be read without waiting."""

    async def read(self) -> bytes:
        """The next bytes, and none at the end; raise `BadBody`."""


class LengthBody:
    """A body with a Content-Length."""

    trailers: Fields = NO_FIELDS

    def __init__(self, transport: Transport, length: int) -> None:
        self.left = length
        self.transport = transport

    @property
    def is_complete(self) -> bool:
        return not self.left

    @property
    def has_arrived(self) -> bool:
        return bool(self.transport.buffer)

    def take_rest(self) -> bytes:
        """The rest of it, if all of that has arrived; otherwise nothing."""
        try:
            has_rest = self.transport.fill_buffer(self.left)
        except OSError:
            return b""  # The next read fails, too.
        left, self.left = (self.left, 0) if has_rest else (0, self.left)
        return self.transport.take(left)

    async def read(self) -> bytes:
        if not self.left:
            return b""
        data = await _receive(self.transport, min(BLOCK, self.left))
        if not data:
            raise BadBody(f"it broke off {self.left} bytes before its end")
        self.left -= len(data)
        return data


class ChunkedBody:
    """A chunked body, unwrapped."""

    def __init__(self, transport: Transport, limit: int) -> None:
        self.is_complete = False
        self._count = 0
        self._transport = transport
        self._limit = limit
        self._reader = ChunkReader()

    @property
    def trailers(self) -> Fields:
        return self._reader.trailers

    @property
    def has_arrived(self) -> bool:
        return bool(self._transport.buffer)

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
            self._count += len(piece)
            if 0 < self._limit < self._count:
                raise BodyTooLarge(f"it is larger than {self._limit} bytes")
            if piece:
                return piece
        self._transport.buffer = self._reader.rest + self._transport.buffer
        self._reader.rest = b""
        self.is_complete = True
        return b""


class CloseBody:
    """A body that ends with its connection."""

    trailers: Fields = NO_FIELDS
    is_complete = False
    """Nothing can follow it."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    @property
    def has_arrived(self) -> bool:
        return bool(self._transport.buffer)

    async def read(self) -> bytes:
        return await _receive(self._transport)


def body_of(transport: Transport, framing: Framing, length: int, limit: int = 0) -> Body:
    """The body that arrives on this transport after a head with this framing.

    `limit` in bytes is for chunks, whose sum is not known beforehand; 0 means none.
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
