"""Receive response heads from a backend, for the proxy and for health checks alike."""

import re

from blue_green.http import fast_path
from blue_green.http.heads import split_head
from blue_green.http.request import Request
from blue_green.http.response import MAX_HEAD, BadResponse, Response, read_response
from blue_green.http.transport import Transport

HTTP2_SETTINGS = re.compile(rb"\x00\x00[\x00-\xff]\x04\x00{5}")
"""The first frame that a server of HTTP/2 sends, whatever it received (RFC 9113 section 3.4)."""


class UpstreamError(Exception):
    """The backend failed after a request was sent to it."""

    def __init__(self, why: str, *, before_response: bool) -> None:
        super().__init__(why)
        self.before_response = before_response
        """Not one byte of a response had arrived."""


class ResponseReader:
    """Reads the responses on one connection."""

    __slots__ = ("_transport", "has_begun")

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.has_begun = False
        """A byte of the response has arrived. Reset it for the next request."""

    async def read(self, request: Request) -> Response:
        """Receive and parse the next head; raise `UpstreamError` if there is none."""
        transport, data = self._transport, b""
        while True:
            try:
                if not transport.buffer:
                    await transport.readable()
                more = transport.try_receive()
            except OSError as error:
                raise self._error(f"its connection failed: {error.strerror}") from None
            if more is None:
                continue
            if not more:
                when = "within the head of its response" if data else "before it responded"
                raise self._error(f"it closed the connection {when}")
            self.has_begun = True
            known = len(data)
            data += more
            end = data.find(b"\r\n\r\n", known - 3 if known > 3 else 0) + 4
            fast = fast_path.read_response(data[:end], request) if 4 <= end <= MAX_HEAD else None
            if fast is not None:
                transport.buffer = data[end:] + transport.buffer
                return fast
            if response := self._parse_slow(data, known, request):
                return response

    def _parse_slow(self, data: bytes, known: int, request: Request) -> Response | None:
        """Parse a head that is complete; None if it is not."""
        try:
            parts = split_head(data, known)
            if parts and len(parts[0]) <= MAX_HEAD:
                head, rest = parts
                self._transport.buffer = rest + self._transport.buffer
                return read_response(head, request)
        except (BadResponse, ValueError) as error:
            raise self._error(f"its response is not HTTP: {error}") from None
        if HTTP2_SETTINGS.match(data):
            raise self._error(
                "it answered in HTTP/2, as gRPC servers do; backends have to speak HTTP/1.1"
            )
        if len(data) > MAX_HEAD:
            raise self._error(f"its response's head is over {MAX_HEAD} bytes")
        return None

    def _error(self, why: str) -> UpstreamError:
        return UpstreamError(why, before_response=not self.has_begun)
