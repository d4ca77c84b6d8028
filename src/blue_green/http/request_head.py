"""Find the head of a request in the bytes that have arrived, and parse it on the slow path."""

from typing import NamedTuple

from blue_green.http.heads import split_head
from blue_green.http.request import BadRequest, Request, read_request


class ParsedHead(NamedTuple):
    """A request, and the bytes that it was parsed from."""

    request: Request
    head: bytes
    rest: bytes
    """The bytes after the head."""


def parse_head(data: bytes, known: int, limit: int) -> ParsedHead | None:
    """Parse the head that `data` begins with; None if it is not complete.

    The first `known` bytes were searched for its end before. Raises `BadRequest`, also for a head
    over `limit` bytes.
    """
    # RFC 9112 section 2.2: one empty line before a request is to be ignored.
    if data.startswith(b"\r\n"):
        data, known = data[2:], max(0, known - 2)
    try:
        parts = split_head(data, known)
    except ValueError as error:
        raise BadRequest(f"The request is malformed: {error}.") from None
    if parts and len(parts[0]) <= limit:
        head, rest = parts
        return ParsedHead(read_request(head), head, rest)
    if len(data) > limit:
        raise BadRequest(f"The request's head is over {limit} bytes.", 431)
    return None
