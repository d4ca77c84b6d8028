"""Response heads: read and judged, and written for the client."""

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
    """What the backend sent is not an answer that can be passed on."""


@define
class Response:
    """A judged answer head."""

    status: int
    reason: bytes
    lines: bytes
    """What goes on as it came, as lines."""
    framing: Framing
    length: int = 0
    upgrade: bytes | None = None
    keep_alive: bool = True
    """Whether the backend keeps its connection open afterwards."""
    has_date: bool = False
    start: bytes = field(init=False, eq=False, repr=False)
    """What the client gets of the head whatever else it is told."""

    @property
    def fields(self) -> Fields:
        """The fields in `lines`: names in lower case, and values."""
        return fields_of(self.lines)

    @property
    def is_event_stream(self) -> bool:
        """Server-sent events, which come for as long as somebody listens (HTML section 9.2)."""
        has_end = self.framing in (Framing.LENGTH, Framing.NONE)
        return not has_end and EVENT_STREAM.search(self.lines) is not None

    @start.default
    def _(self) -> bytes:
        return b"HTTP/1.1 %d %b\r\n%b" % (self.status, self.reason, self.lines)


def read_response(head: bytes, request: Request) -> Response:
    """Judge a complete answer head; raise `BadResponse` for what must not be passed on."""
    event = _parse_answer(head, request)
    fields = event.headers.raw_items()
    options = connection_options(fields)
    framing, length = _answer_framing(fields, event.status_code, request.method)
    drop = HOP_BY_HOP | (options - {b"content-length"})
    if event.status_code == 426:
        drop = drop - {b"upgrade"}  # It says what would be served instead (9110, 15.5.22).
    # Without a body, 304 and the answers to HEAD keep the length that they tell of.
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


def write_response(answer: Response, more: bytes = b"") -> bytes:
    """The head that the client gets; `more` lines frame the body and speak of the connection."""
    return b"%b%b\r\n" % (answer.start, more)


def _parse_answer(head: bytes, request: Request) -> h11.InformationalResponse | h11.Response:
    try:
        check_lines(head[:-4].split(b"\r\n"))
    except ValueError as error:
        raise BadResponse(str(error)) from None
    judge = h11.Connection(h11.CLIENT, max_incomplete_event_size=len(head) + 1)
    asked: Fields = [(b"Host", b"backend")]
    if request.upgrade:
        asked += [(b"Connection", b"upgrade"), (b"Upgrade", request.upgrade)]
    judge.send(h11.Request(method=request.method, target=b"/", headers=asked))
    judge.send(h11.EndOfMessage())
    judge.receive_data(head)
    try:
        event = judge.next_event()
    except h11.RemoteProtocolError as error:
        raise BadResponse(", ".join(filter(None, (in_words(error), header_of(error))))) from None
    if not isinstance(event, h11.InformationalResponse | h11.Response):
        raise BadResponse("it has no proper head")
    if not event.http_version.startswith(b"1."):
        raise BadResponse("it is not HTTP/1.1")
    return event


def _answer_framing(fields: Fields, status: int, method: bytes) -> tuple[Framing, int]:
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
