"""The parsed head of an HTTP/2 request."""

from typing import NamedTuple

from blue_green.http.request import Request


class Head(NamedTuple):
    """The head of a request."""

    request: Request
    head: bytes
    """The head of the same request in HTTP/1.1."""
