"""Reading the body of a request to the admin address, for routes that need it."""

from collections.abc import Sequence

from attrs import frozen

from blue_green.http.errors import ErrorResponse
from blue_green.http.heads import Framing
from blue_green.http.response import Response
from blue_green.proxy.client_stream import ClientStream
from blue_green.proxy.relay import BadBody, BodyTooLarge

CONTINUE = Response(100, b"Continue", b"", Framing.NONE)


@frozen
class Message:
    """A request with its body."""

    fields: Sequence[tuple[bytes, bytes]]
    """The header fields: names in lower case, and values."""
    body: bytes

    def field(self, name: bytes) -> list[bytes]:
        """All values of one field; `name` in lower case."""
        return [value for key, value in self.fields if key == name]


async def read_message(stream: ClientStream, most: int, timeout: float) -> Message | None:
    """Read the request's body; None if it is over `most` bytes.

    Until it is complete, the connection may be evicted. Raises `ErrorResponse` if it is malformed.
    """
    request, body = stream.request, bytearray()
    if request.length > most:
        return None
    if request.expects_continue:
        await stream.send_interim(CONTINUE)
    stream.client.await_body(timeout, None)
    try:
        pieces = stream.body(most)
        while piece := await pieces.read():
            body += piece
    except BodyTooLarge:
        return None
    except BadBody as bad:
        raise ErrorResponse(400, f"The request's body is malformed: {bad}.") from None
    finally:
        stream.client.stop_waiting()
        stream.client.clear_timeout()
    return Message(request.fields, bytes(body))
