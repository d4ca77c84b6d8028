"""A request's body on its way to the backend, whose answer may come before all of it was sent."""

import time
from collections.abc import Callable

import trio

from blue_green.config.process_settings import ProxySettings
from blue_green.http.errors import ErrorAnswer
from blue_green.http.heads import Framing
from blue_green.http.request import Request
from blue_green.http.transport import Transport
from blue_green.proxy.client import NEVER, Client
from blue_green.proxy.relay import BadBody, BodyTooLarge, body_of, copy
from blue_green.routing.lease import Outcome

TOO_SLOW = ErrorAnswer(504, "The backend took too long to answer.")
STALLED = ErrorAnswer(408, "The rest of the request did not come.")


class Upload:
    """Sends what is left of one request."""

    refused: ErrorAnswer | None = None
    """What is wrong with the body, if it cannot be sent."""

    def __init__(
        self, client: Client, request: Request, left: int, settings: ProxySettings
    ) -> None:
        """`left` are the bytes of the body that are still to be read, if it has a length."""
        self._client = client
        self._request = request
        self._left = left
        self._settings = settings

    async def run(
        self, transport: Transport, head: bytes, good: trio.CancelScope, done: Callable[[], None]
    ) -> None:
        """Send it. A body that cannot be sent is noted, and cancels what is good so far.

        When the backend reads no further, that is all: its answer may be on its way.
        """
        framing, settings = self._request.framing, self._settings
        chunked = framing is Framing.CHUNKED
        body = body_of(self._client.transport, framing, self._left, settings.max_body)

        async def send(data: bytes) -> None:
            self._allow(settings.response_timeout, TOO_SLOW, Outcome.OVERDUE)
            self._client.awaited_since = NEVER
            await transport.send(data)
            self._client.awaited_since = time.monotonic()
            self._allow(settings.idle_timeout, STALLED, Outcome.ABORTED)

        try:
            if chunked or not self._client.transport.buffer:
                await send(head)
                head = b""
            await copy(body, send, chunked=chunked, head=head)
        except OSError:
            return
        except BadBody as bad:
            status = 413 if isinstance(bad, BodyTooLarge) else 400
            self.refused = ErrorAnswer(status, f"The request's body is not accepted: {bad}.")
            good.cancel()
            return
        finally:
            self._client.awaited_since = NEVER
        done()
        self._allow(settings.response_timeout, TOO_SLOW, Outcome.OVERDUE)

    def _allow(self, seconds: float, late: ErrorAnswer, outcome: Outcome) -> None:
        """Once the answer has begun, it may take all the time it needs."""
        if not self._client.answering:
            self._client.allow(seconds, late, outcome)
