"""The parsed head of an HTTP/2 request."""

from typing import NamedTuple

from blue_green.http.request import Request


class Head(NamedTuple):
    """The head of a request."""

    request: Request
    head: bytes
    """The head of the same request in HTTP/1.1."""

    def with_target(self, target: bytes) -> "Head":
        """The head of the same request for another path."""
        request = self.request
        rest = self.head[len(request.method) + 1 + len(request.target) :]
        head = b"%b %b%b" % (request.method, target, rest)
        return Head(request.with_target(target), head)
