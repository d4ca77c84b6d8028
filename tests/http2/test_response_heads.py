"""The fields of responses."""

import pytest
from hpack import HeaderTuple

from blue_green.http import heads
from blue_green.http.fast_path import LONGEST_HEAD, MOST_CACHED
from blue_green.http.heads import Framing
from blue_green.http.request import read_request
from blue_green.http.response import Response, read_response
from blue_green.http2 import response_heads
from blue_green.http2.response_heads import response_fields, trailer_fields

ASKED = read_request(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
DATE = b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"


def response(*lines: bytes, status: int = 200) -> Response:
    return read_response(b"\r\n".join([b"HTTP/1.1 %d Reason" % status, *lines, b"", b""]), ASKED)


def made_of(lines: bytes, status: int = 200) -> Response:
    return Response(status, b"", lines, Framing.NONE)


def test_the_fields_are_those_of_the_response_in_lower_case() -> None:
    """Sections 8.2 and 8.3.2."""
    given = response(
        b"Content-Length: 5", b"X-Odd:\t a  b ", b"X-Empty:", b"ETag: \xff", b"x-odd: c"
    )
    assert response_fields(given) == (
        (b":status", b"200"), (b"content-length", b"5"), (b"x-odd", b"a  b"), (b"x-empty", b""),
        (b"etag", b"\xff"), (b"x-odd", b"c"),
    )  # fmt: skip


def test_the_lines_that_the_proxy_adds_come_last() -> None:
    fields = response_fields(response(b"Content-Length: 5"), DATE + b"X: y\r\n")
    assert fields[2:] == ((b"date", DATE[6:-2]), (b"x", b"y"))
    assert response_fields(response(b"Content-Length: 5")) == fields[:2]


@pytest.mark.parametrize(
    "line",
    [
        b"Connection: upgrade", b"Upgrade: h2c", b"Keep-Alive: timeout=5",
        b"Transfer-Encoding: chunked", b"Proxy-Connection: close", b"Sec-WebSocket-Accept: x",
    ],
)  # fmt: skip
@pytest.mark.parametrize("status", [103, 200, 426])
def test_fields_of_an_http_1_1_connection_are_not_sent(line: bytes, status: int) -> None:
    """Section 8.2.2; also where HTTP/1.1 forwards them, as 426 does Upgrade."""
    fields = response_fields(response(line, b"X: y", status=status))
    assert fields == ((b":status", b"%d" % status), (b"x", b"y"))
    assert response_fields(made_of(line + b"\r\n"), line + b"\r\n") == ((b":status", b"200"),)
    assert trailer_fields(heads.fields_of(line)) == ()


@pytest.mark.parametrize("name", [b"Set-Cookie", b"Authorization", b"X-API-Key"])
def test_secrets_are_never_indexed(name: bytes) -> None:
    line = b"%b: s3cret\r\n" % name
    for fields in (
        response_fields(made_of(line))[1:],
        response_fields(made_of(b""), line)[1:],
        trailer_fields([(name, b"s3cret")]),
    ):
        assert [(field, field.indexable) for field in fields] == [
            ((name.lower(), b"s3cret"), False)
        ]
    assert not [lines for _, lines in response_heads.cached_fields if b"s3cret" in lines]


def test_other_fields_may_be_indexed() -> None:
    fields = response_fields(made_of(b"Content-Type: text/html\r\n"), DATE)
    assert all(type(field) is HeaderTuple for field in fields)


def test_the_same_response_has_the_same_fields_without_work() -> None:
    lines = b"X: the same\r\n"
    assert response_fields(made_of(lines)) is response_fields(made_of(lines))
    assert response_fields(made_of(lines, 404))[0] == (b":status", b"404")


def test_what_is_cached_is_bounded() -> None:
    for number in range(MOST_CACHED + 10):
        response_fields(made_of(b"X: %d\r\n" % number))
    assert len(response_heads.cached_fields) <= MOST_CACHED
    long = b"X: %b\r\n" % (b"y" * LONGEST_HEAD)
    assert response_fields(made_of(long)) == response_fields(made_of(long))
    assert (200, long) not in response_heads.cached_fields


def test_trailers_are_fields_without_a_status() -> None:
    trailers = [(b"Grpc-Status", b"0"), (b"x", b"")]
    assert trailer_fields(trailers) == ((b"grpc-status", b"0"), (b"x", b""))
