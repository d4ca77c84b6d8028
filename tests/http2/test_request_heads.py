"""The heads of requests: those rules of RFC 9113 that decide whether a request means anything."""

import re
from base64 import b64decode
from collections.abc import Callable

import pytest

from blue_green.http.heads import Framing
from blue_green.http2.field_validity import Malformed
from blue_green.http2.head import Head
from blue_green.http2.header_blocks import HeaderBlock, KnownFields
from blue_green.http2.request_heads import RefusedHead, head_of, read_head, read_trailers
from tests.http2.fields import LIMIT, ORDINARY, Fields, changed, fields_of

GET, POST = fields_of(), fields_of(method="POST")
CONNECT = [(b":method", b"CONNECT"), (b":authority", b"h.example:443")]
WEBSOCKET = fields_of(
    ("sec-websocket-version", "13"), ("sec-websocket-protocol", "chat"),
    method="CONNECT", protocol="websocket",
)  # fmt: skip

METHODS = (b"GET", b"POST", b"CONNECT")
SECTION = re.compile(r"(?:(\d{4}) )?([\d.]+) ")

MALFORMED: dict[str, Fields] = {
    "8.1.1 content-length with END_STREAM": fields_of(("content-length", "5"), method="POST"),
    "9110 8.6 content-length twice": fields_of(("content-length", "0"), ("content-length", "0")),
    "9110 8.6 content-length as a list": fields_of(("content-length", "0, 0")),
    **{
        f"9110 8.6 content-length {value!r}": fields_of(("content-length", value))
        for value in ("", "+0", "-0", "0x0", "0_0", "abc")
    },
    "8.2 upper case in a name": fields_of(("Accept", "*/*")),
    "8.3 upper case in a pseudo-header": changed({":Path": "/"}, without=":path"),
    "8.2.1 an empty name": fields_of(("", "x")),
    **{
        f"8.2.1 a name with {char!r}": fields_of((f"a{char}b", "x"))
        for char in (" ", ":", "\r\n", "\n", "\0", "\t", "\x7f", "\xe9", "/", "(", '"', "@")
    },
    "8.2.1 a name that is a line": fields_of(("host: b\r\nx", "y")),
    **{
        f"8.2.1 a value with {char!r}": fields_of(("x", f"a{char}b"))
        for char in ("\r", "\n", "\r\n", "\r\n ", "\0", "\x01", "\x0b", "\x1f", "\x7f")
    },
    "8.2.1 a value that is a line": fields_of(("x", "y\r\ncontent-length: 5")),
    **{
        f"8.2.1 the value {value!r}": fields_of(("x", value))
        for value in (" a", "\ta", "a ", "a\t", " ", "\t", "\n", "\r\n")
    },
    "8.2.1 a crumb with a space around": fields_of(("cookie", "a=b "), ("cookie", "c=d")),
    "8.2.1 a host with LF": changed({"host": "h.example\n"}),
    **{
        f"8.2.2 {name}: {value}": fields_of((name, value))
        for name, value in (
            ("connection", "close"), ("connection", "x-foo"), ("connection", ""),
            ("proxy-connection", "keep-alive"), ("keep-alive", "timeout=5"), ("upgrade", "h2c"),
            ("transfer-encoding", "chunked"), ("transfer-encoding", "identity"),
            ("te", "gzip"), ("te", "trailers, gzip"), ("te", ""),
        )
    },
    "8.2.2 te twice": fields_of(("te", "trailers"), ("te", "gzip")),
    "8.3 an unknown pseudo-header": changed({":foo": "bar"}),
    "8.3 a nameless pseudo-header": changed({":": "bar"}),
    "8.3 a pseudo-header of responses": changed({":status": "200"}),
    "8.3 a pseudo-header after a field": [*fields_of(("x", "y"))[1:], GET[0]],
    **{
        f"8.3 {name} twice": [(name.encode(), value.encode()), *fields_of()]
        for name, value in ORDINARY.items()
    },
    "8.3.1 no :method": changed(without=":method"),
    "8.3.1 no :scheme": changed(without=":scheme"),
    "8.3.1 no :path": changed(without=":path"),
    "8.3.1 no pseudo-header": [(b"host", b"h.example")],
    "8.3.1 nothing": [],
    **{f"8.3.1 empty {name}": changed({name: ""}) for name in ORDINARY},
    **{
        f"8.3.1 the method {value!r}": changed({":method": value})
        for value in ("G T", "GET ", "GET\r\n", "GET / HTTP/1.1\r\nx:", "G(", "G\xc9T", "GE\0T")
    },
    **{
        f"8.3.1 the scheme {value!r}": changed({":scheme": value})
        for value in ("ftp", "https ", "wss", "https:", "https\n")
    },
    **{
        f"8.3.1 the path {value!r}": changed({":path": value})
        for value in (
            "a", "*", "http://h.example/", "?a", "/ ", "/a b", "/\t", "/\r\n", "/ HTTP/1.1\r\nx: y",
            "/\0", "/\x7f", "/\xe9", " /",
        )
    },
    "8.3.1 the path ** of OPTIONS": changed({":path": "**", ":method": "OPTIONS"}),
    **{
        f"8.3.1 the authority {value!r}": changed({":authority": value})
        for value in ("u@h.example", "u:p@h.example", "@h.example", "a b", "h\r\n", "h\0", "\xe9")
    },
    "8.3.1 host differs from :authority": fields_of(("host", "g.example")),
    "8.3.1 host has another port": fields_of(("host", "h.example:443")),
    "8.3.1 host is empty": fields_of(("host", "")),
    "9110 7.2 host twice": fields_of(("host", "h.example"), ("host", "h.example")),
    "8.5 CONNECT with :path": [*CONNECT, (b":path", b"/")],
    "8.5 CONNECT with :scheme": [*CONNECT, (b":scheme", b"https")],
    "8.5 CONNECT with both": fields_of(method="CONNECT"),
    "8.5 CONNECT without :authority": [CONNECT[0], (b"host", b"h.example")],
    "8441 4 :protocol with GET": changed({":protocol": "websocket"}),
    "8441 4 empty :protocol": fields_of(method="CONNECT", protocol=""),
    "8441 4 :protocol with CR LF": fields_of(method="CONNECT", protocol="websocket\r\nx: y"),
    **{
        f"8.3.1 extended CONNECT without {name}": [f for f in WEBSOCKET if f[0] != name.encode()]
        for name in (":path", ":scheme")
    },
    "8441 4 END_STREAM": WEBSOCKET,
}  # fmt: skip


def read(fields: Fields, *, ends: bool = True) -> Head:
    return read_head(fields, ends=ends, limit=LIMIT)


@pytest.mark.parametrize("rule", MALFORMED)
def test_a_malformed_request_is_rejected(rule: str) -> None:
    with pytest.raises(Malformed) as raised:
        read(MALFORMED[rule])
    section = SECTION.match(rule)
    assert section is not None
    rfc = f"RFC {section[1]} " if section[1] else ""
    assert str(raised.value).endswith(f"({rfc}section {section[2]}).")
    assert raised.value.head in (b"", *(b"%b / HTTP/1.1\r\n\r\n" % m for m in METHODS))


def test_a_rejection_repeats_nothing_but_the_request_line() -> None:
    secret = "s3cret"
    for fields in (
        fields_of(("cookie", f"{secret}\n")), fields_of((f"X-{secret}", "")),
        changed({":authority": f"user:{secret}@h"}), fields_of(("host", secret)),
        fields_of(("content-length", secret)), changed({":method": f"{secret} "}),
    ):  # fmt: skip
        with pytest.raises(Malformed) as raised:
            read(fields)
        assert secret not in str(raised.value)
        assert raised.value.head in (b"GET / HTTP/1.1\r\n\r\n", b"")


REFUSED: dict[str, tuple[Fields, int]] = {
    "8.5 CONNECT": (CONNECT, 405),
    "8.5 CONNECT with an odd authority": ([CONNECT[0], (b":authority", b"a/b")], 405),
    "9110 9.3.8 TRACE": (fields_of(method="TRACE"), 501),
    "9110 7.2 no authority": (changed(without=":authority"), 400),
    "9110 7.2 an odd authority": (changed({":authority": "a/b"}), 400),
    "9110 7.2 an odd host": (changed({"host": "a b"}, without=":authority"), 400),
    "9110 7.2 userinfo in host": (changed({"host": "u@h"}, without=":authority"), 400),
    "9110 4.2.5 a fragment": (changed({":path": "/a#b"}), 400),
    "9110 7.6.2 Max-Forwards": (fields_of(("max-forwards", "x"), method="OPTIONS"), 400),
    "9110 8.6 a large length": (fields_of(("content-length", "9" * 19)), 400),
    "too many bytes": (fields_of(("x", "y" * LIMIT)), 431),
    "too many lines": (fields_of(*[("x", "y")] * 101), 431),
    "8441 4 another protocol": (fields_of(method="CONNECT", protocol="connect-udp"), 501),
}


@pytest.mark.parametrize(("fields", "status"), REFUSED.values(), ids=REFUSED)
def test_a_request_that_is_refused_in_http_1_1_is_refused(fields: Fields, status: int) -> None:
    with pytest.raises(RefusedHead) as refused:
        read(fields, ends=False)
    assert refused.value.error.status == status
    assert refused.value.head.endswith(b"\r\n\r\n")


def test_the_head_is_that_of_the_same_request_in_http_1_1() -> None:
    fields = fields_of(("accept", "*/*"), ("x-empty", ""), ("x", "\xe9\tz"))
    head = read(fields)
    assert head.head == (
        b"GET / HTTP/1.1\r\nHost: h.example\r\naccept: */*\r\nx-empty: \r\nx: \xe9\tz\r\n\r\n"
    )
    assert head.request.version == b"2.0"
    assert (head.request.method, head.request.target) == (b"GET", b"/")
    assert head.request.host == b"h.example"


@pytest.mark.parametrize(
    ("method", "path"), [("OPTIONS", "*"), ("GET", "/?q"), ("x!", "//a/../%2F?[\\]")]
)
def test_methods_and_targets_are_kept_as_they_are(method: str, path: str) -> None:
    request = read(changed({":method": method, ":path": path})).request
    assert (request.method, request.target) == (method.encode(), path.encode())


@pytest.mark.parametrize("name", [":authority", "host"])
def test_the_host_is_that_of_either_field(name: str) -> None:
    assert read(changed({name: "H.example:1"}, without=":authority")).request.host == b"H.example:1"


def test_host_may_repeat_the_authority_in_another_case() -> None:
    request = read(fields_of(("host", "H.EXAMPLE"))).request
    assert request.lines == b"Host: h.example\r\n"


def test_cookie_crumbs_are_joined_in_the_place_of_the_first() -> None:
    """Section 8.2.3."""
    crumbs = [("cookie", "a=b"), ("x", "y"), ("cookie", "c=d"), ("cookie", "e=f")]
    request = read(fields_of(("w", "v"), *crumbs)).request
    assert request.lines == b"Host: h.example\r\nw: v\r\nCookie: a=b; c=d; e=f\r\nx: y\r\n"


@pytest.mark.parametrize("field", [("te", "trailers"), ("te", "Trailers"), ("http2-settings", "x")])
def test_what_is_about_the_connection_alone_is_dropped(field: tuple[str, str]) -> None:
    """Sections 3.1 and 8.2.2. Without it, the head may take the fast path."""
    assert read(fields_of(field)) == read(GET)


@pytest.mark.parametrize(
    ("length", "ends", "framing"),
    [
        (None, True, (Framing.NONE, 0)),
        (None, False, (Framing.CHUNKED, 0)),
        ("0", True, (Framing.LENGTH, 0)),
        ("0", False, (Framing.LENGTH, 0)),
        ("5", False, (Framing.LENGTH, 5)),
        ("0005", False, (Framing.LENGTH, 5)),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_framing_follows_from_content_length_and_the_end(
    length: str | None, ends: bool, framing: tuple[Framing, int], method: str
) -> None:
    more = [] if length is None else [("content-length", length)]
    request = read(fields_of(*more, method=method), ends=ends).request
    assert (request.framing, request.length) == framing
    assert request.has_odd_content == (method == "GET" and not ends and length != "0")


@pytest.mark.parametrize(("ends", "expects"), [(True, False), (False, True)])
def test_expect_counts_only_with_content(ends: bool, expects: bool) -> None:
    fields = fields_of(("expect", "100-continue"), method="POST")
    assert read(fields, ends=ends).request.expects_continue == expects


# --- RFC 8441 ---


def key_of(head: Head) -> bytes:
    return dict(head.request.fields)[b"sec-websocket-key"]


def test_a_websocket_becomes_an_upgrade() -> None:
    head = read(WEBSOCKET, ends=False)
    key = key_of(head)
    assert len(b64decode(key, validate=True)) == 16
    assert head.head == (
        b"GET / HTTP/1.1\r\nHost: h.example\r\nsec-websocket-version: 13\r\n"
        b"sec-websocket-protocol: chat\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: %b\r\n\r\n" % key
    )
    request = head.request
    assert (request.method, request.upgrade, request.version) == (b"GET", b"websocket", b"2.0")
    assert (request.framing, request.length) == (Framing.NONE, 0)


@pytest.mark.parametrize("protocol", ["websocket", "WebSocket"])
def test_the_key_of_a_websocket_is_ours(protocol: str) -> None:
    fields = fields_of(("sec-websocket-key", "theirs"), method="CONNECT", protocol=protocol)
    head = read(fields, ends=False)
    assert b"theirs" not in head.head
    assert head.head.count(b"Sec-WebSocket-Key: " + key_of(head)) == 1


@pytest.mark.parametrize("length", ["0", "5"])
def test_a_websocket_has_no_content(length: str) -> None:
    fields = [*WEBSOCKET, (b"content-length", length.encode())]
    with pytest.raises(Malformed, match="has content"):
        read(fields, ends=False)


# --- blocks ---


def test_an_identical_block_is_parsed_once_for_each_end() -> None:
    block = HeaderBlock(KnownFields(POST), None)
    ended, open_ = (head_of(block, ends=ends, limit=LIMIT) for ends in (True, False))
    assert ended == read(POST)
    assert open_ == read(POST, ends=False)
    assert head_of(block, ends=True, limit=LIMIT) is ended
    assert head_of(block, ends=False, limit=LIMIT) is open_


def test_each_websocket_of_a_block_has_a_key_of_its_own() -> None:
    block = HeaderBlock(KnownFields(WEBSOCKET), None)
    first, second = (head_of(block, ends=False, limit=LIMIT) for _ in range(2))
    assert key_of(first) != key_of(second)
    assert key_of(second) in second.head


def test_a_lower_limit_also_holds_for_known_blocks() -> None:
    block = HeaderBlock(KnownFields(fields_of(("x", "y" * 200))), None)
    head_of(block, ends=True, limit=LIMIT)
    with pytest.raises(RefusedHead, match="over 100 bytes"):
        head_of(block, ends=True, limit=100)


PATHS = [b"/", b"/a?b=c", b"/%20", b"", b"*", b"/#fragment", b"no-slash", b"/a b", b"/" * 500]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("ends", [True, False])
@pytest.mark.parametrize("first", [GET, POST, fields_of(method="OPTIONS")])
def test_another_path_of_known_fields_means_what_it_would_without_them(
    path: bytes, ends: bool, first: Fields
) -> None:
    at = [name for name, _ in first].index(b":path")
    known = KnownFields(first, at)
    head_of(HeaderBlock(known, None), ends=ends, limit=400)
    block = HeaderBlock(known, path)
    assert known.heads
    assert outcome(lambda: head_of(block, ends=ends, limit=400)) == outcome(
        lambda: read_head(block.fields, ends=ends, limit=400)
    )


def outcome(read_it: Callable[[], Head]) -> object:
    """The head, or what is wrong with it."""
    try:
        return read_it()
    except (Malformed, RefusedHead) as error:
        return type(error), str(error)


# --- trailers ---


def test_trailers_that_may_be_forwarded_are_kept() -> None:
    fields = [(b"grpc-status", b"0"), (b"content-length", b"5"), (b"authorization", b"x")]
    assert read_trailers(fields) == [(b"grpc-status", b"0")]
    assert read_trailers([]) == []


@pytest.mark.parametrize(
    "field",
    [
        (b":path", b"/"), (b":status", b"200"), (b"X", b"y"), (b"", b""), (b"x y", b"z"),
        (b"x", b"a\r\nb"), (b"x", b" y"), (b"connection", b"close"), (b"te", b"gzip"),
    ],
)  # fmt: skip
def test_malformed_trailers_are_rejected(field: tuple[bytes, bytes]) -> None:
    """Sections 8.1, 8.2.1 and 8.2.2."""
    with pytest.raises(Malformed):
        read_trailers([(b"a", b"b"), field])


@pytest.mark.parametrize("fields", [[(b"a", b"b")] * 101, [(b"a", b"b" * 9000)]])
def test_trailers_have_the_limits_of_http_1_1(fields: Fields) -> None:
    with pytest.raises(Malformed, match="trailers"):
        read_trailers(fields)
