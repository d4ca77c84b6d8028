"""The protocol of request handlers: the reverse proxy, a redirect, the admin pages."""

from collections.abc import Awaitable
from typing import Protocol

from blue_green.proxy.client_stream import ClientStream


class ResponseAborted(Exception):
    """The response broke off, as str() says; the client must see that it is not whole."""


class Handler(Protocol):
    """Answers one request after the other, and many at a time."""

    def handle(self, stream: ClientStream) -> Awaitable[None]:
        """Send a whole response.

        Raises `ErrorResponse`, which is sent if no response has begun; `ResponseAborted` after one
        has begun; and `OSError` if the connection to the client fails.
        """
