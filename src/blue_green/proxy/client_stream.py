"""The interface for handlers: one request and its response, whatever the version of HTTP."""

import math
from collections.abc import Awaitable
from typing import Protocol

from blue_green.files.open_file import OpenFile
from blue_green.http.heads import Fields
from blue_green.http.request import Request
from blue_green.http.response import Response
from blue_green.proxy.client import Client
from blue_green.proxy.relay import Body, LengthBody
from blue_green.proxy.served_trial import ServedTrial
from blue_green.proxy.splice import ReadAhead
from blue_green.routing.lease import Target

Unsent = bytes | memoryview
"""What the client has not taken yet, as it goes on the connection; empty if it has taken all."""


class ByteStream(Protocol):
    """The client's end of a tunnel. Errors are `OSError`."""

    async def receive(self) -> bytes:
        """Some bytes, as soon as there are any; none at the end."""

    async def send(self, data: bytes) -> None: ...

    async def send_eof(self) -> None: ...


class ClientStream(Protocol):
    """One request and its response.

    A response is either `respond`, or `start`, any number of `send` and `send_from`, and `end`, or
    `upgrade`. Whatever waits for the client gives up after the `idle_timeout` of the settings.
    Errors of the connection to the client are `OSError`.
    """

    client: Client
    """Its state and deadline, and who it is; when it is cancelled, so is the handler."""
    request: Request
    request_id: bytes

    status: int
    """The status of the final response, once it has begun; 0 before."""
    unsent: int
    """Bytes of the last piece of the body that the client has not taken yet."""

    set_cookie: bytes
    """The value of Set-Cookie in the response, unless a shared cache may store that; or nothing."""

    trial: ServedTrial | None
    """The trial that the request is assigned to."""
    is_admitted: bool
    """Maintenance of its site does not apply to the request."""

    # For the access log; the handler sets them where they apply.
    held: float
    """Seconds that the request waited at the gate."""
    target: Target | None
    """The backend that it was sent to last."""
    sent: int
    """Bytes of the response's body that the client was sent."""
    file_revision: str
    """The revision of the release that a file was sent from; empty for all other responses."""

    @property
    def has_whole_request(self) -> bool:
        """The request's body, if any, has been read to its end."""

    def has_body(self, limit: int) -> bool:
        """Whether the whole body has arrived, and has at most so many bytes."""

    def take_body(self, limit: int) -> bytes | None:
        """The whole body, if it has arrived and has at most so many bytes; otherwise None."""

    def body(self, limit: int) -> Body:
        """The rest of the request's body. One over `limit` bytes fails; 0 means no limit."""

    async def send_interim(self, response: Response) -> None:
        """Send a 1xx response, to a client that understands it."""

    def respond(self, response: Response, body: bytes) -> Awaitable[None]:
        """Send a whole response."""

    async def start(self, response: Response, first: bytes = b"", *, more: bool = False) -> None:
        """Send the response's head, and with it the first bytes of its body if there are any.

        With `more`, the next bytes follow at once, and may go in the same packet.
        """

    async def send(self, data: bytes | memoryview) -> None:
        """Send more of the body."""

    def respond_now(self, response: Response, body: bytes) -> Unsent:
        """Like `respond`, but without waiting: returns what `finish` has to send."""

    def start_now(self, response: Response, first: bytes = b"", *, more: bool = False) -> Unsent:
        """Like `start`, but without waiting: returns what `finish` has to send."""

    def send_now(self, data: bytes | memoryview) -> Unsent:
        """Like `send`, but without waiting: returns what `finish` has to send."""

    async def finish(self, rest: Unsent, patience: float = math.inf) -> Unsent:
        """Send this rest; return what is left of it after `patience` seconds."""

    async def send_from(self, body: LengthBody, ahead: ReadAhead) -> bool:
        """Send a body as it arrives from a backend, uncopied; False if that is not possible.

        Raises `BadBody` if the backend sends less. What a slow client has to wait for is up to
        `ahead`.
        """

    async def send_file(self, file: OpenFile, offset: int, length: int) -> None:
        """Send the body from a file, uncopied if possible.

        Raises `BadBody` if the file changes before the end, has fewer bytes, or cannot be read.
        """

    async def end(self, trailers: Fields, *, close: bool = False) -> None:
        """End the response; with `close`, end the connection after it where it has no other use."""

    async def upgrade(self, response: Response) -> ByteStream:
        """Switch protocols (101). What is sent and received from then on is a tunnel."""

    def count(self, sent: int) -> None:
        """Add bytes that went through the tunnel to those of the access log."""

    def reset(self) -> None:
        """Break the response off, so that the client cannot take it for a whole one."""
