"""Requests on a plain address that are sent to the same place with https.

They are read and judged like all others, and never reach the gate. 308 keeps the method
(RFC 9110 section 15.4.9); like all answers of ours it is not to be stored, so that going back to
plain HTTP stays possible.
"""

import re

from blue_green.http.errors import ErrorAnswer
from blue_green.http.request import Request
from blue_green.http.sockets import HTTPS
from blue_green.proxy.client import Client
from blue_green.proxy.exchange import Exchange
from blue_green.proxy.shared import Shared

NAME = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]*)?")
"""A host, and perhaps a port. What else a URI may have there (RFC 3986 section 3.2.2) names no host
that anybody has, and somebody's software may take it for something else."""


class Redirection(Exchange):
    """A request that is answered with where to ask instead."""

    def __init__(self, client: Client, request: Request, shared: Shared, port: int) -> None:
        super().__init__(client, request, shared)
        self._port = port

    async def run(self) -> None:
        """Raises the answer."""
        place = location(self.request, self._port)
        if place is None:
            raise ErrorAnswer(400, "The request has no Host header that names a host.")
        raise ErrorAnswer(308, f"This site is at {place}", location=place)


def location(request: Request, port: int) -> str | None:
    """Where the request should go; None if it does not say which host it means."""
    named = NAME.fullmatch((request.host or b"").decode("latin-1"))
    if named is None:
        return None
    where = named[1] if port == HTTPS else f"{named[1]}:{port}"
    target = "" if request.target == b"*" else request.target.decode("latin-1")
    return f"https://{where}{target}"
