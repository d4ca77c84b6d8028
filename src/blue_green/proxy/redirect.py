"""Redirect requests: from a plain address to https, and from one host of a site to another.

They are parsed like all others, and never reach the gate. 308 keeps the method (RFC 9110
section 15.4.9). Like all responses of our own it must not be stored, so that going back stays
possible.
"""

import re

from blue_green.http.errors import ErrorResponse
from blue_green.http.request import Request
from blue_green.http.sockets import HTTPS
from blue_green.proxy import forwarding
from blue_green.proxy.client_stream import ClientStream
from blue_green.proxy.remote import Remote

NAME = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]*)?")
"""A host, and perhaps a port. The other characters that a URI allows there (RFC 3986 section 3.2.2)
are in no real host's name, and some software may give them another meaning."""
PORT = re.compile(rb":[0-9]+\Z")


class Redirect:
    """Answers each request with its https URL."""

    def __init__(self, port: int) -> None:
        """`port` is the one where we speak https."""
        self._port = port

    async def handle(self, stream: ClientStream) -> None:
        url = location(stream.request, self._port)
        if url is None:
            raise ErrorResponse(400, "The request has no Host header that names a host.")
        raise ErrorResponse(308, f"This site is at {url}", location=url)


def location(request: Request, port: int) -> str | None:
    """The request's https URL; None if it does not name a host."""
    named = NAME.fullmatch((request.host or b"").decode("latin-1"))
    if named is None:
        return None
    where = named[1] if port == HTTPS else f"{named[1]}:{port}"
    target = "" if request.target == b"*" else request.target.decode("latin-1")
    return f"https://{where}{target}"


def moved(request: Request, remote: Remote, host: str) -> ErrorResponse:
    """Redirect to the same place on another host, by the scheme and port that the client used."""
    port = PORT.search(request.host or b"")
    target = b"" if request.target == b"*" else request.target
    where = host.encode() + (port[0] if port else b"") + target
    url = (forwarding.scheme(remote, request) + b"://" + where).decode("latin-1")
    return ErrorResponse(308, f"This site is at {url}", location=url)
