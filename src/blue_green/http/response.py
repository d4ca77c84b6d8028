"""Response heads: parsed, and written for the client."""

import re

import h11
from attrs import define, field

from blue_green.http.heads import (
    HOP_BY_HOP,
    LARGEST_LENGTH,
    Fields,
    Framing,
    check_lines,
    connection_options,
    fields_of,
    header_of,
    in_words,
    joined,
    keeps_alive,
    lines_of,
    without,
)
from blue_green.http.request import Request

MAX_HEAD = 64 * 1024
EVENT_STREAM = re.compile(rb"^content-type:[ \t]*text/event-stream[ \t]*(?:;|\r)", re.I | re.M)


class BadResponse(Exception):
    """The backend sent something that is no response to forward."""


@define
class Response:
    """A parsed response head."""

    status: int
    reason: bytes
    lines: bytes
    """The header lines to forward as they are."""
    framing: Framing
    length: int = 0
    upgrade: bytes | None = None
    keep_alive: bool = True
    """Whether the backend keeps its connection open afterwards."""
    has_date: bool = False
    start: bytes = field(init=False, eq=False, repr=False)
    """The head for the client, up to where the lines about the connection go."""

    @property
    def fields(self) -> Fields:
        """The fields in `lines`: names in lower case, and values."""
        return fields_of(self.lines)

    @property
    def is_event_stream(self) -> bool:
        """Server-sent events, which may go on for ever (HTML section 9.2)."""
        has_end = self.framing in (Framing.LENGTH, Framing.NONE)
        return not has_end and EVENT_STREAM.search(self.lines) is not None

    @start.default
    def _(self) -> bytes:
        return b"HTTP/1.1 %d %b\r\n%b" % (self.status, self.reason, self.lines)


def read_response(head: bytes, request: Request) -> Response:
    """Parse a complete response head; raise `BadResponse` for one that must not be forwarded."""
    event = _parse(head, request)
    fields = event.headers.raw_items()
    options = connection_options(fields)
    framing, length = _framing(fields, event.status_code, request.method)
    drop = HOP_BY_HOP | (options - {b"content-length"})
    if event.status_code == 426:
        drop = drop - {b"upgrade"}  # It names the protocol to use instead (9110, 15.5.22).
    # 304 and responses to HEAD have no body, and keep the length that they declare.
    if framing in (Framing.CHUNKED, Framing.CLOSE) or _has_no_length(event.status_code):
        drop = drop | {b"content-length"}
    kept = without(fields, drop)
    return Response(
        status=event.status_code,
        reason=bytes(event.reason),
        lines=lines_of(kept),
        framing=framing,
        length=length,
        upgrade=joined(fields, b"upgrade") if event.status_code == 101 else None,
        keep_alive=keeps_alive(event.http_version, options) and framing is not Framing.CLOSE,
        has_date=joined(kept, b"date") is not None,
    )


def write_response(response: Response, more: bytes = b"") -> bytes:
    """The head for the client; `more` are the lines about the body's framing and the connection."""
    return b"%b%b\r\n" % (response.start, more)


def _parse(head: bytes, request: Request) -> h11.InformationalResponse | h11.Response:
    try:
        check_lines(head[:-4].split(b"\r\n"))
    except ValueError as error:
        raise BadResponse(str(error)) from None
    parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=len(head) + 1)
    fields: Fields = [(b"Host", b"backend")]
    if request.upgrade:
        fields += [(b"Connection", b"upgrade"), (b"Upgrade", request.upgrade)]
    parser.send(h11.Request(method=request.method, target=b"/", headers=fields))
    parser.send(h11.EndOfMessage())
    parser.receive_data(head)
    try:
        event = parser.next_event()
    except h11.RemoteProtocolError as error:
        raise BadResponse(", ".join(filter(None, (in_words(error), header_of(error))))) from None
    if not isinstance(event, h11.InformationalResponse | h11.Response):
        raise BadResponse("it has no proper head")
    if not event.http_version.startswith(b"1."):
        raise BadResponse("it is not HTTP/1.1")
    return event


def _framing(fields: Fields, status: int, method: bytes) -> tuple[Framing, int]:
    """Section 6.3, rules 1 to 8."""
    if method == b"HEAD" or _has_no_length(status) or status == 304:
        return Framing.NONE, 0
    if joined(fields, b"transfer-encoding") is not None:
        return Framing.CHUNKED, 0
    length = joined(fields, b"content-length")
    if length is None:
        return Framing.CLOSE, 0
    if int(length) > LARGEST_LENGTH:
        raise BadResponse("Content-Length is too large")
    return Framing.LENGTH, int(length)


def _has_no_length(status: int) -> bool:
    return status < 200 or status == 204
