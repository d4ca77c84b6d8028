"""Receive a request's body, or its first part, before the request has a backend."""

import attrs

from blue_green.http.chunks import chunk, last_chunk
from blue_green.http.errors import ErrorResponse
from blue_green.http.heads import Fields, Framing
from blue_green.http.request import Request
from blue_green.http.response import Response
from blue_green.http.transport import BLOCK
from blue_green.proxy.buffer import Buffer, BufferLost
from blue_green.proxy.client_stream import ClientStream
from blue_green.proxy.relay import BadBody
from blue_green.proxy.upload import STALLED, not_accepted

CONTINUE = Response(100, b"Continue", b"", Framing.NONE)
LOST = ErrorResponse(500, "The server could not buffer the request.")


class ReceivedBody:
    """A request's body, which is received into a buffer and then read from its beginning.

    What has no room in the buffer stays with the client until the rest is read.
    """

    def __init__(self, stream: ClientStream, buffer: Buffer, max_body: int) -> None:
        self._stream = stream
        self._buffer = buffer
        self._body = stream.body(max_body)
        self._size = 0
        self._overflow = b""
        """What had no room."""

    async def receive(self, idle_timeout: float) -> None:
        """Receive all of it, or as much as has room; raise `ErrorResponse` for a bad one."""
        stream, client = self._stream, self._stream.client
        if stream.request.expects_continue and not self._body.has_arrived:
            await stream.send_interim(CONTINUE)
        try:
            while not self._overflow:
                client.await_body(idle_timeout, STALLED)
                data = await self._body.read()
                if not data:
                    break
                self._size += len(data)
                if not await self._buffer.put(data):
                    self._overflow = data
                del data  # A client may take long for the next bytes.
        except BadBody as bad:
            raise not_accepted(bad) from None
        finally:
            client.stop_waiting()
            client.clear_timeout()
        self._buffer.end()

    def request(self) -> Request:
        """The request as it goes to the backend: nobody waits for 100, and the length is known.

        Many servers cannot read chunks. Trailers need them.
        """
        request = attrs.evolve(self._stream.request, expects_continue=False)
        if self.is_complete and not self.trailers:
            return attrs.evolve(request, framing=Framing.LENGTH, length=self._size)
        return request

    @property
    def is_in_memory(self) -> bool:
        """Whether all of it is in memory."""
        return self.is_complete and self._buffer.is_in_memory

    def take(self) -> bytes | None:
        """All of it, as it goes to the backend, if it is in memory; otherwise None."""
        if not self.is_in_memory:
            return None
        data = self._buffer.take()
        return _chunked(data, self.trailers) if self.trailers else data

    @property
    def as_received(self) -> bytes:
        """All of it, if it is in memory, in the framing of the client."""
        data = self._buffer.peek()
        if self._stream.request.framing is Framing.CHUNKED:
            return _chunked(data, self.trailers)
        return data

    # --- as a `Body` ---

    has_arrived = True

    @property
    def trailers(self) -> Fields:
        return self._body.trailers

    @property
    def is_complete(self) -> bool:
        """The client does not have to send more of it."""
        return self._body.is_complete and not self._overflow

    async def read(self) -> bytes:
        self._buffer.release(0)
        try:
            if data := await self._buffer.get(BLOCK):
                return data
        except BufferLost:
            raise LOST.copy() from None
        data, self._overflow = self._overflow, b""
        return data or await self._body.read()


def _chunked(data: bytes, trailers: Fields) -> bytes:
    return (chunk(data) if data else b"") + last_chunk(trailers)
