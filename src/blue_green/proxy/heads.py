"""Heads: h11 judges them, we judge what h11 lets through, and write them for the other side.

A head is written anew from its judged fields, never copied through, so that what the other side
reads is what we understood. Sections are those of RFC 9112, or of RFC 9110 where it says so.

What is ours beyond h11, for requests: one framing only (6.1), lines that end in CR LF (2.2), no
folded lines (5.2), no control characters in values, the forms of the target (3.2) and of Host,
the version, the number of lines, and which methods a reverse proxy serves.
"""

import re
from enum import Enum

import h11
from attrs import define

MAX_LINES = 100
MAX_ANSWER_HEAD = 64 * 1024
LARGEST_LENGTH = 2**63 - 1

Fields = list[tuple[bytes, bytes]]

HOP_BY_HOP = {
    b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate",
    b"proxy-authorization", b"te", b"transfer-encoding", b"upgrade", b"http2-settings",
}  # fmt: skip
"""Fields that are about one connection and go no further (RFC 9110 section 7.6.1)."""

REWRITTEN = {
    b"host", b"content-length", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host",
    b"x-forwarded-port", b"x-forwarded-prefix", b"x-forwarded-ssl", b"x-real-ip",
    b"forwarded", b"x-request-id", b"via", b"expect", b"proxy",
}  # fmt: skip
"""Request fields that go on, if at all, as we write them."""

TOLD = REWRITTEN - {b"host", b"content-length", b"expect", b"proxy"}

NOT_IN_TRAILERS = HOP_BY_HOP | REWRITTEN | {
    b"authorization", b"cookie", b"set-cookie", b"cache-control", b"content-encoding",
    b"content-type", b"content-range", b"trailer", b"range", b"max-forwards", b"age", b"date",
    b"expires", b"location", b"retry-after", b"vary", b"warning",
}  # fmt: skip
"""Fields that could change what a message means when merged from its trailers (9110, 6.5.1)."""

CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]+)(?::[0-9]{0,5})?")
ORIGIN_FORM = re.compile(rb"/[^#]*")
ABSOLUTE_FORM = re.compile(rb"(?i:https?)://([^/?#@]+)((?:[/?][^#]*)?)")
ACCEPTS_HTML = re.compile(rb"(?im)^accept:.*text/html")
REQUEST_ID = re.compile(rb"[!-~]{1,128}")
SAFE_METHODS = (b"GET", b"HEAD", b"OPTIONS")


class BadRequest(Exception):
    """The client's request cannot be served; `status` is what it gets."""

    def __init__(self, why: str, status: int = 400) -> None:
        super().__init__(why)
        self.status = status


class BadAnswer(Exception):
    """What the backend sent is not an answer that can be passed on."""


class Framing(Enum):
    """What ends a body."""

    NONE = "there is none"
    LENGTH = "its length"
    CHUNKED = "the last chunk"
    CLOSE = "the end of the connection"


@define
class Request:
    """A judged request head."""

    method: bytes
    target: bytes
    """In origin-form, or `*`."""
    version: bytes
    """`1.0` or `1.1`, whatever the client called it."""
    host: bytes | None
    lines: bytes
    """What goes on as it came, as lines: Host, and what is not in `HOP_BY_HOP` or `REWRITTEN`."""
    told: dict[bytes, bytes]
    """What the client said in those `REWRITTEN` fields that only a trusted proxy has a say in."""
    framing: Framing
    length: int = 0
    expects_continue: bool = False
    upgrade: bytes | None = None
    keep_alive: bool = True

    @property
    def may_repeat(self) -> bool:
        """Sending it twice does no harm (RFC 9110 section 9.2.1), and we still could."""
        return self.framing is Framing.NONE and self.method in SAFE_METHODS

    @property
    def wants_html(self) -> bool:
        return ACCEPTS_HTML.search(self.lines) is not None


@define
class Answer:
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


def split_head(data: bytes) -> tuple[bytes, bytes] | None:
    """The head and what follows it, once the head is complete.

    Raises ValueError on a line that ends in LF alone: whoever reads ahead might see another end.
    """
    end = data.find(b"\r\n\r\n")
    head = data if end < 0 else data[: end + 4]
    if head.count(b"\n") != head.count(b"\r\n"):
        raise ValueError("a line does not end in CR LF")
    return None if end < 0 else (head, data[end + 4 :])


# --- requests -------------------------------------------------------------------------------


def read_request(head: bytes) -> Request:
    """Judge a complete request head; raise `BadRequest` for what must not be forwarded."""
    event = _parse_request(head)
    fields = event.headers.raw_items()
    method, target, version = bytes(event.method), bytes(event.target), event.http_version
    if not version.startswith(b"1."):
        raise BadRequest("This server speaks HTTP/1.1.", 505)
    version = b"1.0" if version == b"1.0" else b"1.1"
    if method == b"CONNECT":
        raise BadRequest("This server is not a forward proxy.", 405)
    if method == b"TRACE":
        raise BadRequest("TRACE is not served.", 501)
    for _, value in fields:
        if CONTROL.search(value):
            raise BadRequest("A header has a control character in its value.")
    host, target = _host_and_target(method, target, fields)
    if host is None and version == b"1.1":
        raise BadRequest("The request has no Host header.")  # h11 asks for it only in 1.1 itself.
    framing, length = _request_framing(fields, version)
    options = _connection_options(fields)
    upgrade = None
    if version == b"1.1" and b"upgrade" in options and framing is Framing.NONE:
        upgrade = _upgrade(fields)
    expect = (_joined(fields, b"expect") or b"").lower()
    return Request(
        method=method,
        target=target,
        version=version,
        host=host,
        lines=_host_line(host) + _lines(_without(fields, HOP_BY_HOP | REWRITTEN | options)),
        told=_told(fields),
        framing=framing,
        length=length,
        expects_continue=expect == b"100-continue" and version == b"1.1",
        upgrade=upgrade,
        keep_alive=_keeps_alive(version, options),
    )


def write_request(request: Request, address: bytes, forwarded: bytes) -> bytes:
    """The head that the backend gets.

    `forwarded` are the lines that say what we know of the client. A request of HTTP/1.0 that
    names no host gets the backend's own address for one.
    """
    if request.framing is Framing.NONE and request.host is not None and not request.upgrade:
        return b"%b %b HTTP/1.1\r\n%b%b\r\n" % (
            request.method, request.target, request.lines, forwarded
        )  # fmt: skip
    more = _host_line(address) if request.host is None else b""
    if request.framing is Framing.LENGTH:
        more += b"Content-Length: %d\r\n" % request.length
    elif request.framing is Framing.CHUNKED:
        more += b"Transfer-Encoding: chunked\r\n"
    if request.expects_continue:
        more += b"Expect: 100-continue\r\n"
    if request.upgrade:
        more += b"Connection: upgrade\r\nUpgrade: %b\r\n" % request.upgrade
    return b"%b %b HTTP/1.1\r\n%b%b%b\r\n" % (
        request.method, request.target, request.lines, more, forwarded
    )  # fmt: skip


def _parse_request(head: bytes) -> h11.Request:
    lines = head[:-4].split(b"\r\n")
    if len(lines) > MAX_LINES + 1:
        raise BadRequest(f"The request has more than {MAX_LINES} header lines.", 431)
    if any(line[:1] in (b" ", b"\t") for line in lines):
        raise BadRequest("A header is folded over several lines, which is obsolete.")
    judge = h11.Connection(h11.SERVER, max_incomplete_event_size=len(head) + 1)
    judge.receive_data(head)
    try:
        event = judge.next_event()
    except h11.RemoteProtocolError as error:
        # What h11 says after the colon repeats the input, which is nobody's business.
        why = re.sub(r": (?:bytearray|b['\"]).*", "", str(error)).replace(":", "")
        raise BadRequest(f"{why[:1].upper()}{why[1:]}.", error.error_status_hint) from None
    if not isinstance(event, h11.Request):
        raise BadRequest("The request has no proper head.")
    return event


def _host_and_target(method: bytes, target: bytes, fields: Fields) -> tuple[bytes | None, bytes]:
    host = _joined(fields, b"host")
    if host is not None and not HOST.fullmatch(host):
        raise BadRequest("The Host header does not name a host.")
    if ORIGIN_FORM.fullmatch(target) or (target == b"*" and method == b"OPTIONS"):
        return host, target
    # Section 3.2.2: the host of a target in absolute-form replaces what Host says.
    absolute = ABSOLUTE_FORM.fullmatch(target)
    if absolute is None or not HOST.fullmatch(absolute[1]):
        raise BadRequest("The request's target is not a path.")
    path = absolute[2]
    if not path and method == b"OPTIONS":
        return absolute[1], b"*"  # Section 3.2.4.
    return absolute[1], path if path.startswith(b"/") else b"/" + path


def _request_framing(fields: Fields, version: bytes) -> tuple[Framing, int]:
    length = _joined(fields, b"content-length")
    if _joined(fields, b"transfer-encoding") is not None:
        if length is not None:
            raise BadRequest("The request has both Content-Length and Transfer-Encoding.")
        if version == b"1.0":
            raise BadRequest("HTTP/1.0 has no Transfer-Encoding.")
        return Framing.CHUNKED, 0
    if length is None or int(length) == 0:
        return (Framing.NONE, 0) if length is None else (Framing.LENGTH, 0)
    if int(length) > LARGEST_LENGTH:
        raise BadRequest("Content-Length is too large.")
    return Framing.LENGTH, int(length)


def _upgrade(fields: Fields) -> bytes | None:
    """What to change to; h2c is not passed on, since it is between us and the client."""
    protocols = (_joined(fields, b"upgrade") or b"").split(b",")
    wanted = [protocol.strip() for protocol in protocols]
    return b", ".join(p for p in wanted if p and p.lower() != b"h2c") or None


# --- answers --------------------------------------------------------------------------------


def read_answer(head: bytes, request: Request) -> Answer:
    """Judge a complete answer head; raise `BadAnswer` for what must not be passed on."""
    event = _parse_answer(head, request)
    fields = event.headers.raw_items()
    for _, value in fields:
        if CONTROL.search(value):
            raise BadAnswer("a header has a control character in its value")
    if CONTROL.search(event.reason):
        raise BadAnswer("the reason phrase has a control character")
    options = _connection_options(fields)
    framing, length = _answer_framing(fields, event.status_code, request.method)
    drop = HOP_BY_HOP | (options - {b"content-length"})
    if event.status_code == 426:
        drop = drop - {b"upgrade"}  # It says what would be served instead (9110, 15.5.22).
    # Without a body, 304 and the answers to HEAD keep the length that they tell of.
    if framing in (Framing.CHUNKED, Framing.CLOSE) or _has_no_length(event.status_code):
        drop = drop | {b"content-length"}
    return Answer(
        status=event.status_code,
        reason=bytes(event.reason),
        lines=_lines(_without(fields, drop)),
        framing=framing,
        length=length,
        upgrade=_joined(fields, b"upgrade") if event.status_code == 101 else None,
        keep_alive=_keeps_alive(event.http_version, options) and framing is not Framing.CLOSE,
    )


def write_answer(answer: Answer, more: bytes = b"") -> bytes:
    """The head that the client gets; `more` lines frame the body and speak of the connection."""
    return b"HTTP/1.1 %d %b\r\n%b%b\r\n" % (answer.status, answer.reason, answer.lines, more)


def _parse_answer(head: bytes, request: Request) -> h11.InformationalResponse | h11.Response:
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
        raise BadAnswer(str(error)) from None
    if not isinstance(event, h11.InformationalResponse | h11.Response):
        raise BadAnswer("it has no proper head")
    if not event.http_version.startswith(b"1."):
        raise BadAnswer("it is not HTTP/1.1")
    return event


def _answer_framing(fields: Fields, status: int, method: bytes) -> tuple[Framing, int]:
    """Section 6.3, rules 1 to 8."""
    if method == b"HEAD" or _has_no_length(status) or status == 304:
        return Framing.NONE, 0
    if _joined(fields, b"transfer-encoding") is not None:
        return Framing.CHUNKED, 0
    length = _joined(fields, b"content-length")
    if length is None:
        return Framing.CLOSE, 0
    if int(length) > LARGEST_LENGTH:
        raise BadAnswer("Content-Length is too large")
    return Framing.LENGTH, int(length)


def _has_no_length(status: int) -> bool:
    return status < 200 or status == 204


# --- both -----------------------------------------------------------------------------------


def trailers(fields: Fields) -> Fields:
    """Those that may go on as trailers."""
    return [
        (name, value)
        for name, value in fields
        if name.lower() not in NOT_IN_TRAILERS and not CONTROL.search(value)
    ]


def _told(fields: Fields) -> dict[bytes, bytes]:
    told = {name: _joined(fields, name) for name in TOLD}
    return {name: value for name, value in told.items() if value}


def _lines(fields: Fields) -> bytes:
    return b"".join([b"%b: %b\r\n" % field for field in fields])


def _host_line(host: bytes | None) -> bytes:
    return b"" if host is None else b"Host: %b\r\n" % host


def _joined(fields: Fields, wanted: bytes) -> bytes | None:
    values = [value for name, value in fields if name.lower() == wanted]
    return b", ".join(values) if values else None


def _connection_options(fields: Fields) -> set[bytes]:
    connection = _joined(fields, b"connection") or b""
    options = {option.strip().lower() for option in connection.split(b",")}
    return options - {b""}


def _keeps_alive(version: bytes, options: set[bytes]) -> bool:
    """Section 9.3."""
    if b"close" in options:
        return False
    return version != b"1.0" or b"keep-alive" in options


def _without(fields: Fields, names: set[bytes]) -> Fields:
    """The fields without these. X_Forwarded_For too is left out: to CGI it is the same name."""
    return [
        (name, value)
        for name, value in fields
        if (lower := name.lower()) not in names
        and not (b"_" in lower and lower.replace(b"_", b"-") in HOP_BY_HOP | REWRITTEN)
    ]
