"""Request heads as people type them and simple health checks send them.

A line may end in LF alone, and Host may be missing, empty, or not the name of a host: a health
check that gets 400 takes a healthy site out of service. Everything else is parsed like any request.
"""

import re

from blue_green.http import heads
from blue_green.http.request import BadRequest, read_request
from blue_green.http.request_head import ParsedHead

END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
END_OF_LINE = re.compile(rb"\r?\n")
HOST = re.compile(rb"(?im)^host[ \t]*:([ -~\t]*)\r?$")
NO_HOST = b"Host: admin"
ODD_HOST = b"Host: not.a.host"
"""In place of one that browsers cannot have sent: `allowed_hosts` allows none with a dot."""


def parse_head(data: bytes, _: int, limit: int) -> ParsedHead | None:
    """Parse the head that `data` begins with; None if it is not complete. Raises `BadRequest`."""
    begun = data.lstrip(b"\r\n")  # RFC 9112 section 2.2: empty lines before a request are ignored.
    end = END_OF_HEAD.search(begun)
    if (end.start() if end else len(begun)) > limit:
        raise BadRequest(f"The request's head is over {limit} bytes.", 431)
    if end is None:
        return None
    head, rest = begun[: end.end()], begun[end.end() :]
    first, *fields = END_OF_LINE.split(begun[: end.start()])
    host = HOST.search(
        head, len(first)
    )  # HTTP/1.1 demands one (RFC 9112 section 3.2). No route needs it.
    if host is None:
        fields.insert(0, NO_HOST)
    elif not heads.HOST.fullmatch(name := host[1].strip(b" \t")):
        line = host[0].removesuffix(b"\r")
        fields[fields.index(line)] = ODD_HOST if name else NO_HOST
    return ParsedHead(read_request(b"\r\n".join([first, *fields, b"", b""])), head, rest)
