"""Request heads: parsed, and written for the backend.

Checks of our own beyond h11: one framing only (section 6.1), lines that end in CR LF (2.2), no
folded lines (5.2), no control characters in values, the forms of the target (3.2) and of Host, the
version, the number of lines, and which methods a reverse proxy serves.
"""

import re

import h11
from attrs import define, field

from blue_green.http.heads import (
    CONDITIONS,
    HOP_BY_HOP,
    HOST,
    LARGEST_LENGTH,
    MAX_LINES,
    OURS_ALONE,
    Fields,
    Framing,
    check_lines,
    connection_options,
    fields_of,
    header_of,
    in_words,
    is_rewritten,
    joined,
    keeps_alive,
    lines_of,
    without,
)

ORIGIN_FORM = re.compile(rb"/[^#]*")
ABSOLUTE_FORM = re.compile(rb"(?i:https?)://([^/?#@]+)((?:[/?][^#]*)?)")
REQUEST_ID = re.compile(rb"[!-~]{1,128}")
CODING = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
SAFE_METHODS = (b"GET", b"HEAD", b"OPTIONS")
CONTENT_METHODS = (b"POST", b"PUT", b"PATCH")
"""Methods for which RFC 9110 section 9.3 defines the meaning of content."""
ALLOWED = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
MOST_FORWARDS = 10**18


class BadRequest(Exception):
    """The client's request cannot be served, and gets this `status`."""

    def __init__(
        self, why: str, status: int = 400, *, allow: str | None = None, fault: str = ""
    ) -> None:
        super().__init__(why)
        self.status = status
        self.allow = allow
        self.fault = fault
        """More for the access log only: it repeats input of the client."""


@define
class Request:
    """A parsed request head."""

    method: bytes
    target: bytes
    """In origin-form, or `*`."""
    version: bytes
    """`1.0`, `1.1` or `2.0`; other minor versions of HTTP/1 are taken for 1.1."""
    host: bytes | None
    lines: bytes
    """The header lines to forward as they are: Host, and all that are neither hop-by-hop nor
    rewritten."""
    forwarding: dict[bytes, bytes]
    """The forwarding headers that the client sent. Only those of a trusted proxy are used."""
    framing: Framing
    length: int = 0
    expects_continue: bool = False
    upgrade: bytes | None = None
    keep_alive: bool = True
    ends_here: bool = False
    """An OPTIONS that may be forwarded no further (RFC 9110 section 7.6.2)."""
    is_conditional: bool = False
    """It has a condition or a range."""
    has_odd_content: bool = field(init=False, eq=False, repr=False)
    """It has content although its method does not define any.

    A backend that does not read such content takes it for the next request on the connection.
    """

    @property
    def may_repeat(self) -> bool:
        """It is safe to send twice (RFC 9110 section 9.2.1), and has no body that is used up."""
        return self.framing is Framing.NONE and self.method in SAFE_METHODS

    @has_odd_content.default
    def _(self) -> bool:
        return (
            self.framing is not Framing.NONE
            and self.method not in CONTENT_METHODS
            and (self.length > 0 or self.framing is Framing.CHUNKED)
        )

    def with_target(self, target: bytes) -> "Request":
        """The same request for another target. Faster than `attrs.evolve`."""
        return Request(
            self.method, target, self.version, self.host, self.lines, self.forwarding,
            self.framing, self.length, self.expects_continue, self.upgrade, self.keep_alive,
            self.ends_here, self.is_conditional,
        )  # fmt: skip

    @property
    def fields(self) -> Fields:
        """The fields in `lines`: names in lower case, and values."""
        return fields_of(self.lines)

    @property
    def wants_html(self) -> bool:
        return self._accepts(b"text/html")

    @property
    def may_get_stream(self) -> bool:
        """Whether it asks for an event stream, or to switch protocols."""
        return self.upgrade is not None or self._accepts(b"text/event-stream")

    def _accepts(self, media_type: bytes) -> bool:
        """Whether an Accept line names this type."""
        lines = self.lines.lower().split(b"\r\n")  # Much faster than a search for all at once.
        return any(media_type in line for line in lines if line.startswith(b"accept:"))


def read_request(head: bytes) -> Request:
    """Parse a complete request head; raise `BadRequest` for one that must not be forwarded."""
    event = _parse_request(head)
    fields = event.headers.raw_items()
    method, target, version = bytes(event.method), bytes(event.target), event.http_version
    if not version.startswith(b"1."):
        raise BadRequest("This server speaks HTTP/1.1.", 505)
    version = b"1.0" if version == b"1.0" else b"1.1"
    if method == b"CONNECT":
        raise BadRequest("This server is not a forward proxy.", 405, allow=ALLOWED)
    if method == b"TRACE":
        raise BadRequest("TRACE is not served.", 501)
    host, target = _host_and_target(method, target, fields)
    if host is None and version == b"1.1":
        raise BadRequest("The request has no Host header.")  # h11 asks for it only in 1.1 itself.
    framing, length = _request_framing(fields, version)
    has_content = framing is Framing.CHUNKED or length > 0
    options = connection_options(fields)
    upgrade = None
    if version == b"1.1" and b"upgrade" in options and not has_content:
        upgrade = _upgrade(fields)
    expect = (joined(fields, b"expect") or b"").lower()
    ends_here = False
    if method == b"OPTIONS" and joined(fields, b"max-forwards") is not None:
        fields, ends_here = _count_down(fields)
    kept = _forwarded(fields, options)
    return Request(
        method=method,
        target=target,
        version=version,
        host=host,
        lines=_host_line(host) + lines_of(kept),
        forwarding=_forwarding(fields),
        framing=framing,
        length=length,
        # RFC 9110 section 10.1.1: without content there is nothing to continue.
        expects_continue=expect == b"100-continue" and version == b"1.1" and has_content,
        upgrade=upgrade,
        keep_alive=keeps_alive(version, options),
        ends_here=ends_here,
        is_conditional=any(name.lower() in CONDITIONS for name, _ in kept),
    )


def write_request(
    request: Request, address: bytes, forwarded: bytes, target: bytes | None = None
) -> bytes:
    """The head for the backend.

    `forwarded` are the lines of the forwarding headers. An HTTP/1.0 request without a host gets the
    backend's own address as its Host. `target` replaces that of the request.
    """
    target = target or request.target
    if request.framing is Framing.NONE and request.host is not None and not request.upgrade:
        return b"%b %b HTTP/1.1\r\n%b%b\r\n" % (
            request.method, target, request.lines, forwarded
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
    elif request.has_odd_content:
        more += b"Connection: close\r\n"
    return b"%b %b HTTP/1.1\r\n%b%b%b\r\n" % (
        request.method, target, request.lines, more, forwarded
    )  # fmt: skip


def _parse_request(head: bytes) -> h11.Request:
    lines = head[:-4].split(b"\r\n")
    if len(lines) > MAX_LINES + 1:
        raise BadRequest(f"The request has more than {MAX_LINES} header lines.", 431)
    if any(line[:1] in (b" ", b"\t") for line in lines):
        raise BadRequest("A header is folded over several lines, which is obsolete.")
    try:
        check_lines(lines[1:])
    except ValueError as error:
        raise BadRequest(f"The request is malformed: {error}.") from None
    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=len(head) + 1)
    parser.receive_data(head)
    try:
        event = parser.next_event()
    except h11.RemoteProtocolError as error:
        if error.error_status_hint == 501:
            raise _bad_coding(lines) from None
        if not lines[0].isascii():
            why = "the request line has bytes that are not ASCII, which must be percent-encoded"
        elif lines[0].count(b" ") != 2:
            why = "the request line is not a method, a target and a version with one space between"
        else:
            why = in_words(error)
        why, fault = f"{why[:1].upper()}{why[1:]}.", header_of(error)
        raise BadRequest(why, error.error_status_hint, fault=fault) from None
    if not isinstance(event, h11.Request):
        raise BadRequest("The request has no proper head.")
    return event


def _host_and_target(method: bytes, target: bytes, fields: Fields) -> tuple[bytes | None, bytes]:
    host = joined(fields, b"host")
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
    length = joined(fields, b"content-length")
    if joined(fields, b"transfer-encoding") is not None:
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


def _bad_coding(lines: list[bytes]) -> BadRequest:
    """What is wrong with a Transfer-Encoding other than chunked (RFC 9112 sections 6.1 and 6.3)."""
    named = [line.partition(b":") for line in lines[1:]]
    values = [value for name, _, value in named if name.lower() == b"transfer-encoding"]
    codings = [coding.strip(b" \t").lower() for coding in b",".join(values).split(b",")]
    *others, last = codings
    if last != b"chunked" or b"chunked" in others or not all(map(CODING.fullmatch, others)):
        return BadRequest("The request's Transfer-Encoding does not end in chunked, and that once.")
    return BadRequest("No transfer coding is supported but chunked.", 501)


def _count_down(fields: Fields) -> tuple[Fields, bool]:
    """The fields with a smaller Max-Forwards, and whether there is nothing left of it."""
    allowed = joined(fields, b"max-forwards") or b""
    if not allowed.isdigit():
        raise BadRequest("Max-Forwards is not a number.")
    count = int(allowed) if len(allowed) < len(str(MOST_FORWARDS)) else MOST_FORWARDS
    less = b"%d" % max(count - 1, 0)
    fields = [(n, less if n.lower() == b"max-forwards" else value) for n, value in fields]
    return fields, count == 0


def _upgrade(fields: Fields) -> bytes | None:
    """The protocols to offer; h2c is not forwarded, since it concerns only us and the client."""
    protocols = (joined(fields, b"upgrade") or b"").split(b",")
    wanted = [protocol.strip() for protocol in protocols]
    return b", ".join(p for p in wanted if p and p.lower() != b"h2c") or None


def _forwarding(fields: Fields) -> dict[bytes, bytes]:
    names = dict.fromkeys(lower for name, _ in fields if is_rewritten(lower := name.lower()))
    given = {name: joined(fields, name) for name in names if name not in OURS_ALONE}
    return {name: value for name, value in given.items() if value}


def _forwarded(fields: Fields, options: set[bytes]) -> Fields:
    kept = without(fields, HOP_BY_HOP | options)
    return [(name, value) for name, value in kept if not is_rewritten(name.lower())]


def _host_line(host: bytes | None) -> bytes:
    return b"" if host is None else b"Host: %b\r\n" % host
