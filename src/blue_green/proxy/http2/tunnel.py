"""A WebSocket over HTTP/2: the DATA frames of a stream as a tunnel (RFC 8441)."""

import errno
import os
from collections.abc import Awaitable, Callable

from blue_green.proxy.http2.body import StreamBody
from blue_green.proxy.relay import BadBody


class StreamTunnel:
    """The client's end of a tunnel (see `ByteStream`)."""

    def __init__(
        self, body: StreamBody, send: Callable[[bytes], Awaitable[None]], end: Callable[[], None]
    ) -> None:
        self._body = body
        self._send = send
        self._end = end

    async def receive(self) -> bytes:
        try:
            return await self._body.read()
        except BadBody:
            raise _reset() from None

    async def send(self, data: bytes) -> None:
        if self._body.is_broken:
            raise _reset()
        await self._send(data)

    async def send_eof(self) -> None:
        self._end()


def _reset() -> OSError:
    return OSError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
