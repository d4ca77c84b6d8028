"""Reading the body of a request to the admin address, for handlers that need it."""

import re
from collections.abc import Sequence

import h11
import trio
from attrs import frozen

from blue_green.system import throttle

PIECE = 2 * 1024
"""Bytes to parse at once: even in tiny chunks, they take no longer than an ordinary request."""
NOT_TEXT = re.compile(rb"[\x00\x0b\x0c]|\r[^\n]")
"""Neither JSON nor a form contains these, and h11 takes minutes to reject them in a trailer."""


@frozen
class Message:
    """A request with its body."""

    fields: Sequence[tuple[bytes, bytes]]
    """The header fields: names in lower case, and values."""
    body: bytes

    def field(self, name: bytes) -> list[bytes]:
        """All values of one field; `name` in lower case."""
        return [value for key, value in self.fields if key == name]


async def read_body(
    http: h11.Connection, stream: trio.SocketStream, request: h11.Request, unread: bytes, most: int
) -> bytes | None:
    """Read the request's body, which begins with `unread`; None if it is over `most` bytes.

    Raises `h11.RemoteProtocolError` if it is malformed or incomplete.
    """
    lengths = [value for name, value in request.headers if name == b"content-length"]
    if lengths and int(lengths[0]) > most:
        return None
    if http.they_are_waiting_for_100_continue:
        go_on = h11.InformationalResponse(status_code=100, headers=[])
        await stream.send_all(http.send(go_on) or b"")
    body, last = bytearray(), b""
    while http.their_state is h11.SEND_BODY and len(body) <= most:
        event = http.next_event()
        if event is h11.NEED_DATA:
            await throttle.wait()
            data = unread[:PIECE] or await stream.receive_some(PIECE)
            unread = unread[PIECE:]
            http.receive_data(_text(data, last))
            last = data[-1:]
        elif isinstance(event, h11.Data):
            body += event.data
    if unread:
        http.receive_data(unread)  # It belongs to the next request.
    return bytes(body) if len(body) <= most else None


def _text(data: bytes, before: bytes = b"") -> bytes:
    if NOT_TEXT.search(before + data):
        raise h11.RemoteProtocolError("the body has control characters")
    return data
