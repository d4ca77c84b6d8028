"""Any request means the same in HTTP/2 and in HTTP/1.1."""

from collections.abc import Iterable

from attrs import evolve
from hypothesis import example, given, settings
from hypothesis import strategies as st

from blue_green.http import fast_path
from blue_green.http.heads import (
    HOP_BY_HOP,
    Framing,
    connection_options,
    fields_of,
    lines_of,
    split_head,
)
from blue_green.http.request import BadRequest, Request, read_request
from blue_green.http2.field_validity import Malformed
from blue_green.http2.request_heads import RefusedHead, read_head
from tests.http2.fields import LIMIT, Fields, changed
from tests.http2.fields import fields_of as fields_of_request
from tests.support.h11_request import by_h11

PSEUDO = st.sampled_from(
    [
        (b":method", b"GET"), (b":method", b"POST"), (b":method", b"OPTIONS"),
        (b":method", b"CONNECT"), (b":method", b"G T"), (b":scheme", b"https"),
        (b":scheme", b"gopher"), (b":authority", b"h"), (b":authority", b"a b"),
        (b":authority", b"u@h"), (b":authority", b"h\r\nx: y"), (b":path", b"/"), (b":path", b"*"),
        (b":path", b"/a?b=c#d"), (b":path", b"/a b"), (b":path", b"/ HTTP/1.1\r\n\r\nGET /"),
        (b":protocol", b"websocket"), (b":protocol", b"other"), (b":status", b"200"),
    ]
)  # fmt: skip
PIECES = st.sampled_from(
    [
        b"x", b"y", b": ", b":", b" ", b"\t", b"\r\n", b"\n", b"\r", b"\0", b"\x7f", b"\xff", b"/",
        b"X", b"_", b"chunked", b"5", b"host", b"close", b"websocket", b"",
        b"transfer-encoding", b"content-length", b"GET / HTTP/1.1", b"x-forwarded-for",
    ]
)  # fmt: skip
HARMLESS = st.sampled_from(
    [
        (b"cookie", b"a=b"), (b"cookie", b"c=d"), (b"cookie", b""), (b"te", b"trailers"),
        (b"http2-settings", b"x"), (b"expect", b"100-continue"), (b"accept", b"*/*"),
        (b"accept", b"text/html"), (b"x_forwarded_for", b"1"), (b"x-forwarded-for", b"1"),
        (b"max-forwards", b"0"), (b"if-none-match", b"x"), (b"via", b"1.1 a"), (b"empty", b""),
        (b"sec-websocket-key", b"x"), (b"authorization", b"s3cret"), (b"date", b"x"),
        (b"x", b"host: g"), (b"x", b"a\tb  c"), (b"y", b"\xff"), (b"content-length", b"0"),
        (b"content-length", b"5"), (b"host", b"h.example"),
    ]
)  # fmt: skip
HARMFUL = st.sampled_from(
    [
        (b"host", b"g"), (b"content-length", b"5, 5"), (b"te", b"gzip"), (b"connection", b"close"),
        (b"transfer-encoding", b"chunked"), (b"upgrade", b"websocket"), (b"host", b"a b"),
    ]
)  # fmt: skip
ODD_VALUE = st.tuples(st.just(b"x"), st.lists(PIECES, max_size=4).map(b"".join))
ODD = st.tuples(st.lists(PIECES, max_size=4).map(b"".join), st.just(b"y"))
STARTS = st.sampled_from(
    [
        fields_of_request(),
        fields_of_request(method="POST"),
        fields_of_request(method="CONNECT", protocol="websocket"),
        changed({":method": "OPTIONS", ":path": "*"}),
        changed({"host": "h.example"}, without=":authority"),
        changed({":path": "/?a"})[::-1],
    ]
)


def near_requests() -> st.SearchStrategy[Fields]:
    """Requests, some with something that may be wrong."""
    regular = st.lists(HARMLESS, max_size=6, unique_by=lambda field: field[0])
    crumbs = st.lists(st.just((b"cookie", b"e=f")), max_size=2)
    worse = st.lists(st.one_of(ODD, ODD_VALUE, HARMFUL), max_size=1)
    return st.tuples(STARTS, regular, crumbs, worse).map(
        lambda parts: [field for part in parts for field in part]
    )


def any_fields() -> st.SearchStrategy[Fields]:
    start = st.lists(PSEUDO, max_size=5, unique_by=lambda field: field[0])
    rest = st.lists(st.one_of(PSEUDO, HARMLESS, HARMFUL, ODD, ODD_VALUE), max_size=6)
    return st.tuples(start, rest).map(lambda parts: parts[0] + parts[1])


NOT_AS_THEY_CAME = {
    b"host", b"cookie", b"content-length", b"te", b"http2-settings", b"sec-websocket-key",
}  # fmt: skip
ADDED = {b"transfer-encoding", b"connection", b"upgrade"}


def as_they_came(fields: Iterable[tuple[bytes, bytes]]) -> Fields:
    """The fields that are written one by one, in their order."""
    others = NOT_AS_THEY_CAME | ADDED
    return [(n, v) for n, v in fields if not n.startswith(b":") and n.lower() not in others]


@settings(max_examples=400)
@given(near_requests(), st.booleans())
@example([(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/"), (b"host", b"h")], True)
def test_an_accepted_request_is_read_alike_by_everybody(fields: Fields, ends: bool) -> None:
    check_is_read_alike(fields, ends)


@given(any_fields(), st.booleans())
def test_the_same_holds_for_any_fields(fields: Fields, ends: bool) -> None:
    check_is_read_alike(fields, ends)


def check_is_read_alike(fields: Fields, ends: bool) -> None:
    try:
        head = read_head(fields, ends=ends, limit=LIMIT)
    except (Malformed, RefusedHead):
        return
    assert split_head(head.head) == (head.head, b"")
    for read in (read_request, fast_path.read_request):
        if (request := read(head.head)) is not None:
            assert evolve(request, version=b"2.0") == head.request
    event, pseudo = by_h11(head.head), dict(fields)
    is_websocket = pseudo[b":method"] == b"CONNECT"
    method = b"GET" if is_websocket else pseudo[b":method"]
    assert (event.method, event.target) == (method, pseudo[b":path"])
    assert as_they_came(event.headers.raw_items()) == as_they_came(fields)
    written = fields_of(lines_of(event.headers.raw_items()))
    crumbs = [value for name, value in fields if name == b"cookie"]
    assert [v for n, v in written if n == b"cookie"] == [b"; ".join(crumbs).strip()] * bool(crumbs)
    assert [v for n, v in written if n == b"host"] == [
        pseudo.get(b":authority", pseudo.get(b"host"))
    ]
    framing = [n for n, _ in written if n in (b"content-length", b"transfer-encoding")]
    assert len(framing) == (not is_websocket and (not ends or b"content-length" in pseudo))
    assert head.request.upgrade == (b"websocket" if is_websocket else None)


LINES = st.lists(
    st.sampled_from(
        [
            *(b"X: y", b"X:y", b"x:  y \t", b"X: ", b"Accept: text/html", b"aCCEPT: \xff"),
            *(b"Cookie: a=b; c", b"Content-Length: 0", b"Content-Length: 5", b"Expect: x"),
            *(b"Transfer-Encoding: chunked", b"Expect: 100-continue", b"Connection: x, close"),
            *(b"Connection: keep-alive", b"Keep-Alive: 5", b"TE: trailers, gzip", b"TE: x"),
            *(b"Proxy-Connection: a", b"Proxy-Authorization: s", b"HTTP2-Settings: x"),
            *(b"Upgrade: h2c", b"X_Forwarded_For: 1", b"X-Forwarded-For: 1", b"Forwarded: x"),
            *(b"Via: 1.0 a", b"Max-Forwards: 0", b"Max-Forwards: 5", b"If-None-Match: x"),
            *(b"Range: bytes=0-", b"Trailer: x", b"Date: x", b"X-Request-Id: 1", b"Proxy: x"),
        ]
    ),
    max_size=8,
    unique=True,
)
TARGETS = st.sampled_from([b"/", b"/a?b=%2F", b"//x/../y", b"*", b"http://h/z", b"https://g:1?q"])
METHODS = st.sampled_from([b"GET", b"HEAD", b"POST", b"OPTIONS", b"DELETE", b"x!"])


def translated(head: bytes, request: Request) -> Fields:
    """The same request as fields of HTTP/2, as a gateway in front would write them."""
    assert request.host is not None
    given = [(name.lower(), value.strip()) for name, value in by_h11(head).headers.raw_items()]
    dropped = HOP_BY_HOP | connection_options(given) | {b"host", b"content-length"}
    fields = [(name, value) for name, value in given if name not in dropped]
    if request.framing is Framing.LENGTH:
        fields.append((b"content-length", b"%d" % request.length))
    return [
        (b":method", request.method), (b":scheme", b"https"), (b":authority", request.host),
        (b":path", request.target), *fields,
    ]  # fmt: skip


@settings(max_examples=400)
@given(METHODS, TARGETS, LINES)
@example(b"POST", b"/", [b"Connection: content-length, cookie", b"Content-Length: 5", b"Cookie: a"])
@example(b"OPTIONS", b"http://h", [b"Max-Forwards: 1"])
def test_a_request_of_http_1_1_is_the_same_request_in_http_2(
    method: bytes, target: bytes, lines: list[bytes]
) -> None:
    head = b"\r\n".join([b"%b %b HTTP/1.1" % (method, target), b"Host: h:1", *lines, b"", b""])
    try:
        request = read_request(head)
    except BadRequest:
        return
    ends = request.framing is Framing.NONE or (request.framing, request.length) == (
        Framing.LENGTH,
        0,
    )
    over_http2 = read_head(translated(head, request), ends=ends, limit=LIMIT).request
    assert over_http2.fields == request.fields
    assert over_http2.has_odd_content == request.has_odd_content
    changed = evolve(request, version=b"2.0", lines=b"", upgrade=None, keep_alive=True)
    assert evolve(over_http2, lines=b"") == changed
