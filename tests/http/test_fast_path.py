"""What the fast path caches; `test_heads` compares its results with the slow path."""

import pytest

from blue_green.http import fast_path
from blue_green.http.request import read_request


def test_lines_with_secrets_and_long_lines_are_not_cached() -> None:
    secret = [b"Cookie: s3cret", b"Authorization: s3cret", b"X: s3cret" + b"x" * 300]
    head = b"\r\n".join([b"GET / HTTP/1.1", b"Host: h", *secret, b"", b""])
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nSet-Cookie: s3cret\r\n\r\n"
    for _ in range(3):
        assert fast_path.read_request(head) is not None
        assert fast_path.read_response(answer, read_request(head)) is not None
    of_requests = [
        *fast_path.cached_request_lines,
        *fast_path.cached_groups,
        *fast_path.cached_requests,
    ]
    kept = [*of_requests, *fast_path.cached_response_lines, *fast_path.cached_responses]
    assert not [text for text in kept if b"s3cret" in text]


def test_a_repeated_short_request_is_cached_whole() -> None:
    head = b"GET /whole HTTP/1.1\r\nHost: whole\r\nAccept: */*\r\n\r\n"
    long = head.replace(b"whole", b"whole" * 60, 1)
    for _ in range(4):
        assert fast_path.read_request(head) == read_request(head)
        assert fast_path.read_request(long) == read_request(long)
    assert head in fast_path.cached_requests
    assert long not in fast_path.cached_requests


def test_lines_that_repeat_together_are_cached_together() -> None:
    fields = b"Host: again\r\nConnection: close\r\nAccept: */*"
    for number in range(3):
        request = fast_path.read_request(b"GET /%d HTTP/1.1\r\n%b\r\n\r\n" % (number, fields))
        assert request is not None
        assert (request.target, request.keep_alive) == (b"/%d" % number, False)
    assert fields in fast_path.cached_groups


def test_lines_around_a_changing_cookie_are_cached() -> None:
    before, after = b"Host: around\r\nX: 1", b"Y: 2\r\nConnection: close"
    for number in range(3):
        head = b"GET / HTTP/1.1\r\n%b\r\nCookie: %d\r\n%b\r\n\r\n" % (before, number, after)
        request = fast_path.read_request(head)
        assert request == read_request(head)
    assert {before, after} <= set(fast_path.cached_groups)


@pytest.mark.parametrize("name", [b"if-match", b"IF-None-Match", b"If-Range", b"rANGE"])
@pytest.mark.parametrize("cookie", [b"", b"Cookie: a=b\r\n"])
def test_a_condition_is_seen_wherever_its_line_is(name: bytes, cookie: bytes) -> None:
    condition = name + b": bytes=0-\r\n"
    for lines in (condition + cookie, cookie + condition):
        head = b"GET / HTTP/1.1\r\nHost: h\r\n%b\r\n" % lines
        for _ in range(3):
            request = fast_path.read_request(head)
            assert request is not None and request.is_conditional
            assert request == read_request(head)
    request = fast_path.read_request(
        b"GET / HTTP/1.1\r\nHost: h\r\n%bX-If-Range: 1\r\n\r\n" % cookie
    )
    assert request is not None and not request.is_conditional


def test_the_caches_are_bounded() -> None:
    for number in range(2 * fast_path.MOST_CACHED):
        for _ in range(2):
            fast_path.read_request(b"GET / HTTP/1.1\r\nHost: h\r\nX: %d\r\n\r\n" % number)
    assert len(fast_path.cached_request_lines) <= fast_path.MOST_CACHED
    assert len(fast_path.cached_groups) <= fast_path.MOST_CACHED
    assert len(fast_path.cached_requests) <= fast_path.MOST_CACHED
