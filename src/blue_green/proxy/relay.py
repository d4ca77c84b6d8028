"""Moving body bytes from one side to the other, a block at a time.

A `Body` knows where it ends. One with a length, or one that ends with its connection, is only
counted; chunks are read by h11, so that those that go on are framed by us. Nothing is read
before what was read has been sent: a slow receiver slows the sender down, and memory stays flat.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol

import h11
import trio

from blue_green.proxy.heads import Fields, Framing, trailers
from blue_green.proxy.wire import BLOCK, Wire


class BadBody(Exception):
    """The body broke off, or its chunks are not chunks."""


class BodyTooLarge(BadBody):
    """The body is longer than the settings allow."""


class Body(Protocol):
    """The rest of a message. `read` gives the next bytes, and none at the end."""

    trailers: Fields

    async def read(self) -> bytes: ...


class LengthBody:
    """So many bytes."""

    def __init__(self, wire: Wire, length: int) -> None:
        self.trailers: Fields = []
        self.left = length
        self._wire = wire

    async def read(self) -> bytes:
        if not self.left:
            return b""
        data = await _receive(self._wire, min(BLOCK, self.left))
        if not data:
            raise BadBody(f"it broke off {self.left} bytes before its end")
        self.left -= len(data)
        return data


class ChunkedBody:
    """Chunks, read by h11, without their framing."""

    PREAMBLE = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    """h11 reads bodies only after a head. Chunks are the same in both directions."""

    def __init__(self, wire: Wire, limit: int) -> None:
        self.trailers: Fields = []
        self._wire = wire
        self._limit = limit
        self._count = 0
        self._reader = h11.Connection(h11.SERVER)
        self._reader.receive_data(self.PREAMBLE)
        self._reader.next_event()

    async def read(self) -> bytes:
        try:
            while (event := self._reader.next_event()) is h11.NEED_DATA:
                self._reader.receive_data(await _receive(self._wire))
        except h11.RemoteProtocolError as error:
            raise BadBody(str(error).partition(":")[0]) from None
        if isinstance(event, h11.Data):
            self._count += len(event.data)
            if 0 < self._limit < self._count:
                raise BodyTooLarge(f"it is larger than {self._limit} bytes")
            return bytes(event.data)
        if isinstance(event, h11.EndOfMessage):
            self.trailers = trailers(event.headers.raw_items())
            self._wire.pushed = self._reader.trailing_data[0] + self._wire.pushed
        return b""


class CloseBody:
    """All that comes until the connection ends."""

    def __init__(self, wire: Wire) -> None:
        self.trailers: Fields = []
        self._wire = wire

    async def read(self) -> bytes:
        return await _receive(self._wire)


def body_of(wire: Wire, framing: Framing, length: int, limit: int = 0) -> Body:
    """The body that comes on this wire, after a head that was framed so.

    `limit` is for chunks, whose sum nobody tells beforehand: in bytes, 0 for none.
    """
    if framing is Framing.CHUNKED:
        return ChunkedBody(wire, limit)
    if framing is Framing.CLOSE:
        return CloseBody(wire)
    return LengthBody(wire, length if framing is Framing.LENGTH else 0)


async def _receive(wire: Wire, limit: int = BLOCK) -> bytes:
    try:
        return await wire.receive(limit)
    except OSError as error:
        raise BadBody(f"the connection failed: {error.strerror}") from None


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk(fields: Fields) -> bytes:
    lines = [b"%b: %b\r\n" % field for field in fields]
    return b"0\r\n" + b"".join(lines) + b"\r\n"


async def copy(
    body: Body, send: Callable[[bytes], Awaitable[None]], *, chunked: bool, head: bytes = b""
) -> int:
    """Send the body, in chunks or as it is, after the head; how many bytes the body had.

    The head goes out with the first bytes. Give none where these may be long in coming.
    """
    count = 0
    while data := await body.read():
        count += len(data)
        await send(head + (chunk(data) if chunked else data))
        head = b""
    if end := head + (last_chunk(body.trailers) if chunked else b""):
        await send(end)
    return count


async def tunnel(one: Wire, other: Wire) -> int:
    """Move bytes both ways, untouched, until both sides have ended or one of them fails.

    When one side ends, the other is told so and can go on sending. Says how many bytes it moved.
    """
    count = 0

    async def one_way(source: Wire, sink: Wire) -> None:
        nonlocal count
        try:
            while data := await source.receive():
                count += len(data)
                await sink.send(data)
            sink.send_eof()
        except OSError:
            nursery.cancel_scope.cancel()  # That side is gone; nothing more can be moved.

    async with trio.open_nursery() as nursery:
        nursery.start_soon(one_way, one, other)
        nursery.start_soon(one_way, other, one)
    return count
