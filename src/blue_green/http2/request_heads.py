"""The head of an HTTP/2 request, as the head of the same request in HTTP/1.1.

The HTTP/1.1 code then parses it, so a backend gets the same for the same request, and the same
requests are refused. A request that HTTP/1.1 cannot carry, or to which it would give another
meaning, is malformed. Sections are those of RFC 9113 unless another RFC is named.
"""

import re
from collections.abc import Iterable, Sequence

from attrs import evolve

from blue_green.http import fast_path, heads
from blue_green.http.chunks import LONGEST_LINE
from blue_green.http.heads import MAX_LINES, Fields
from blue_green.http.request import BadRequest, Request
from blue_green.http.request_head import parse_head
from blue_green.http2.field_validity import Malformed, check_fields
from blue_green.http2.head import Head
from blue_green.http2.header_blocks import HeaderBlock
from blue_green.http2.websocket_keys import new_key

TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
AUTHORITY = re.compile(rb"[!-?A-~]+")
"""Without userinfo, which ends with an @."""
TARGET = re.compile(rb"/[!-~]*")
USUAL_TARGET = re.compile(rb"/[!-\"$-~]*")
"""Without a fragment, which HTTP/1.1 refuses."""
LENGTH = re.compile(rb"[0-9]+")

PSEUDO = {b":method", b":scheme", b":authority", b":path", b":protocol"}
SPECIAL = {b"host", b"cookie", b"content-length", b"te", b"http2-settings"}
"""Regular fields that are not written as they came."""

Given = Sequence[tuple[bytes, bytes]]


class RefusedHead(Exception):
    """A well-formed request that gets an error response, as it would in HTTP/1.1."""

    def __init__(self, error: BadRequest, head: bytes) -> None:
        super().__init__(str(error))
        self.error = error
        self.head = head


def head_of(block: HeaderBlock, *, ends: bool, limit: int) -> Head:
    """Like `read_head` of the block's fields, but parses those of similar blocks only once."""
    heads, path = block.known.heads, block.path
    head = heads.get(ends)
    if head is None:
        head = read_head(block.fields, ends=ends, limit=limit)
        if not head.request.upgrade:  # It has a fresh key.
            heads[ends] = head
        return head
    if path is not None and path != head.request.target:
        if not USUAL_TARGET.fullmatch(path):
            return read_head(block.fields, ends=ends, limit=limit)
        head = head.with_target(path)
    if len(head.head) > limit:
        return read_head(block.fields, ends=ends, limit=limit)
    return head


def read_head(fields: Iterable[tuple[bytes, bytes]], *, ends: bool, limit: int) -> Head:
    """Parse the fields of a request; `ends` says that nothing follows them (END_STREAM).

    Raises `Malformed`, and `RefusedHead` for what HTTP/1.1 refuses, a head over `limit` bytes
    among it.
    """
    fields = list(fields)
    try:
        pseudo, regular = _split(fields)
        check_fields(regular)
        start, protocol = _start(pseudo, ends=ends)
        head = _write(start, protocol, pseudo.get(b":authority"), regular, ends=ends)
    except Malformed as malformed:
        malformed.head = _request_line(fields)
        raise
    if protocol not in (b"", b"websocket"):
        why = "No protocol is supported in an extended CONNECT but websocket."
        raise RefusedHead(BadRequest(why, 501), head)
    return Head(_parse(head, limit), head)


def read_trailers(fields: Iterable[tuple[bytes, bytes]]) -> Fields:
    """The trailers that may be forwarded. Raises `Malformed`."""
    fields = list(fields)
    if any(name.startswith(b":") for name, _ in fields):
        raise Malformed("A pseudo-header is among the trailers (section 8.1).")
    check_fields(fields)
    if len(fields) > MAX_LINES or any(len(n) + len(v) > LONGEST_LINE for n, v in fields):
        raise Malformed(
            f"The trailers are over {MAX_LINES} lines, or one over {LONGEST_LINE} bytes."
        )
    return heads.trailers(fields)


def _split(fields: Given) -> tuple[dict[bytes, bytes], Given]:
    """The pseudo-headers, and the regular fields after them (section 8.3)."""
    pseudo: dict[bytes, bytes] = {}
    count = 0
    for name, value in fields:
        if name not in PSEUDO:
            break
        if name in pseudo:
            raise Malformed("A pseudo-header is repeated (section 8.3).")
        pseudo[name] = value
        count += 1
    regular = fields[count:]
    for name, _ in regular:
        if name[:1] == b":":
            why = "after a regular field" if name in PSEUDO else "not one of a request"
            raise Malformed(f"A pseudo-header is {why} (section 8.3).")
    return pseudo, regular


def _start(pseudo: dict[bytes, bytes], *, ends: bool) -> tuple[bytes, bytes]:
    """The request line up to the version, and the protocol of an extended CONNECT."""
    method, path = pseudo.get(b":method", b""), pseudo.get(b":path", b"")
    protocol = pseudo.get(b":protocol")
    authority = pseudo.get(b":authority")
    if not TOKEN.fullmatch(method):
        raise Malformed("The :method is missing, or not a token (section 8.3.1).")
    if authority is not None and not AUTHORITY.fullmatch(authority):
        raise Malformed("The :authority is empty, has userinfo or an odd byte (section 8.3.1).")
    if protocol is None and method == b"CONNECT":
        if authority is None or len(pseudo) > 2:
            raise Malformed("CONNECT does not have just a :method and an :authority (section 8.5).")
        return b"CONNECT %b" % authority, b""
    if pseudo.get(b":scheme", b"").lower() not in (b"https", b"http"):
        raise Malformed("The :scheme is missing, or neither http nor https (section 8.3.1).")
    if not TARGET.fullmatch(path) and (path != b"*" or method != b"OPTIONS"):
        raise Malformed("The :path is missing, or not an absolute path (section 8.3.1).")
    if protocol is None:
        return b"%b %b" % (method, path), b""
    if method != b"CONNECT" or not TOKEN.fullmatch(protocol):
        raise Malformed("A :protocol is not a token, or not with CONNECT (RFC 8441 section 4).")
    if ends:
        raise Malformed("The request ends the stream that it wants to use (RFC 8441 section 4).")
    return b"GET %b" % path, protocol.lower()


def _write(
    start: bytes, protocol: bytes, authority: bytes | None, regular: Given, *, ends: bool
) -> bytes:
    """The head in HTTP/1.1."""
    special: dict[bytes, list[bytes]] = {}
    lines = [b"%b HTTP/1.1\r\n" % start, b""]
    for name, value in regular:
        if name not in SPECIAL:
            lines.append(b"%b: %b\r\n" % (name, value))
            continue
        if name == b"cookie" and name not in special:
            cookie_at = len(lines)
            lines.append(b"")
        special.setdefault(name, []).append(value)
    if cookie := special.get(b"cookie"):
        # Section 8.2.3. The fast path knows this spelling.
        lines[cookie_at] = b"Cookie: %b\r\n" % b"; ".join(cookie)
    lines[1] = _host_line(authority, special.get(b"host", []))
    length = _length(special.get(b"content-length", []), ends=ends)
    if protocol:
        if length:
            raise Malformed("An extended CONNECT has content (RFC 8441 section 5).")
        lines = [line for line in lines if not line.startswith(b"sec-websocket-key:")]
        lines.append(
            b"Connection: Upgrade\r\nUpgrade: %b\r\nSec-WebSocket-Key: %b\r\n"
            % (protocol, new_key())
        )
    elif length is not None:
        lines.append(b"Content-Length: %b\r\n" % length)
    elif not ends:
        lines.append(b"Transfer-Encoding: chunked\r\n")
    return b"%b\r\n" % b"".join(lines)


def _host_line(authority: bytes | None, hosts: list[bytes]) -> bytes:
    """Section 8.3.1: the :authority replaces Host, which may not say anything else."""
    if len(hosts) > 1:
        raise Malformed("There is more than one host field (RFC 9110 section 7.2).")
    if authority is not None and hosts and hosts[0].lower() != authority.lower():
        raise Malformed("The host field differs from :authority (section 8.3.1).")
    host = authority if authority is not None else hosts[0] if hosts else None
    return b"" if host is None else b"Host: %b\r\n" % host


def _length(lengths: list[bytes], *, ends: bool) -> bytes | None:
    """The content-length (section 8.1.1)."""
    if not lengths:
        return None
    if len(lengths) > 1 or not LENGTH.fullmatch(lengths[0]):
        raise Malformed("The content-length is not one number (RFC 9110 section 8.6).")
    if ends and lengths[0].strip(b"0"):
        raise Malformed("The request ends without the content of its length (section 8.1.1).")
    return lengths[0]


def _parse(head: bytes, limit: int) -> Request:
    """Parse the head as the connections of HTTP/1.1 do."""
    request = fast_path.read_request(head) if len(head) <= limit else None
    if request is None:
        try:
            parsed = parse_head(head, 0, limit)
        except BadRequest as error:
            raise RefusedHead(error, head) from None
        assert parsed is not None, "the head has an end"
        request = parsed.request
    return evolve(request, version=b"2.0")


def _request_line(fields: Given) -> bytes:
    """The request line of a malformed request, if its parts are known."""
    pseudo = dict(fields)
    method, path = pseudo.get(b":method", b""), pseudo.get(b":path", b"")
    is_known = TOKEN.fullmatch(method) and TARGET.fullmatch(path)
    return b"%b %b HTTP/1.1\r\n\r\n" % (method, path) if is_known else b""
