"""Whether a request that failed at a backend is sent again, and when."""

import trio

from blue_green.http.errors import ErrorResponse
from blue_green.http.request import Request
from blue_green.http.response_reader import UpstreamError
from blue_green.proxy.pool import Unreachable
from blue_green.routing.lease import Target

DIALS = 3
"""How often a backend may refuse a connection before the request is given up."""

LOST_AT_LATEST = 0.25
"""Seconds to wait, after a failure, for the supervisor to notice that the backend died; after each
failed dial by so much longer, since on a busy machine the end of a process takes its time."""


class Retries:
    """The failed attempts of one request."""

    def __init__(self) -> None:
        self._dials = 0
        self._has_repeated = False

    def check(
        self, failure: Unreachable | UpstreamError, request: Request, *, was_moved: bool
    ) -> None:
        """Count a failure; raise `ErrorResponse` if the request may not be sent again.

        If it was moved, because the backend has to stop, that is no failure.
        """
        if isinstance(failure, Unreachable):
            self._dials += not was_moved
            if self._dials == DIALS:
                why = "The backend could not be reached."
                raise ErrorResponse(502, why, 1, fault=str(failure)) from None
            return
        may_repeat = failure.before_response and request.may_repeat
        if not may_repeat or (self._has_repeated and not was_moved):
            raise ErrorResponse(
                502, "The backend sent no valid response.", fault=str(failure)
            ) from None
        self._has_repeated |= not was_moved

    async def until_lost(self, target: Target) -> None:
        """Give the supervisor a moment to notice that the backend died."""
        with trio.move_on_after(LOST_AT_LATEST * (1 + self._dials)):
            await target.lost.wait()
