"""Send a request's body to the backend, whose response may begin before all of it was sent."""

from collections.abc import Callable

import trio

from blue_green.http.chunks import chunk, last_chunk
from blue_green.http.errors import ErrorResponse
from blue_green.http.transport import Transport
from blue_green.proxy.client import Client
from blue_green.proxy.relay import BadBody, Body, BodyTooLarge
from blue_green.proxy.served_site import SiteLimits
from blue_green.routing.lease import Lease

TOO_SLOW = ErrorResponse(504, "The backend took too long to respond.")
STALLED = ErrorResponse(408, "The rest of the request did not arrive.")


def not_accepted(bad: BadBody) -> ErrorResponse:
    """The response to a request whose body is malformed or too large."""
    status = 413 if isinstance(bad, BodyTooLarge) else 400
    return ErrorResponse(status, f"The request's body is not accepted: {bad}.")


class Upload:
    """Sends what is left of one request."""

    refused: ErrorResponse | None = None
    """What is wrong with the body, if it cannot be sent."""

    def __init__(
        self,
        client: Client,
        body: Body,
        limits: SiteLimits,
        idle_timeout: float,
        lease: Lease,
        *,
        chunked: bool,
    ) -> None:
        self._client = client
        self._body = body
        self._is_chunked = chunked
        self._limits = limits
        self._idle_timeout = idle_timeout
        self._lease = lease

    async def run(
        self, transport: Transport, head: bytes, good: trio.CancelScope, done: Callable[[], None]
    ) -> None:
        """Send it, after what is left of the head.

        A body that cannot be sent is noted in `refused`, and cancels `good`. When the backend
        stops reading, that is all: its response may be on its way.
        """
        try:
            await self._copy(transport, head)
        except OSError:
            return
        except BadBody as bad:
            self.refused = not_accepted(bad)
            good.cancel()
            return
        except ErrorResponse as error:
            self.refused = error
            good.cancel()
            return
        finally:
            self._client.stop_waiting()
        self._lease.client_waits = 0.0  # From now on the client waits for the backend.
        done()
        self._client.await_backend(self._limits.response_timeout, TOO_SLOW)

    async def _copy(self, transport: Transport, head: bytes) -> None:
        """The head goes out with the first bytes of the body if these have arrived already."""
        is_chunked, body = self._is_chunked, self._body
        if is_chunked or not body.has_arrived:
            await self._send(transport, head)
            head = b""
        while data := await self._read():
            data = head + (chunk(data) if is_chunked else data)  # Nothing keeps a second copy.
            head = b""
            await self._send(transport, data)
            data = b""  # A client may take long for the next bytes.
        if end := head + (last_chunk(body.trailers) if is_chunked else b""):
            await self._send(transport, end)

    async def _read(self) -> bytes:
        """The next bytes from the client; the backend waits for them."""
        began = trio.current_time()
        try:
            return await self._body.read()
        finally:
            self._lease.client_waits += trio.current_time() - began

    async def _send(self, transport: Transport, data: bytes) -> None:
        """Send to the backend, and from then on wait for the client if it has to send more."""
        self._client.await_backend(self._limits.response_timeout, TOO_SLOW)
        await transport.send(data)
        if not self._body.is_complete:
            self._client.await_body(self._idle_timeout, STALLED)
