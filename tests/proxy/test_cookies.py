"""Cookies of our own, in requests and in responses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blue_green.http.heads import Framing
from blue_green.http.request import Request, read_request
from blue_green.http.response import Response
from blue_green.proxy import cookies

COOKIE = b"a=1; Path=/; Max-Age=60; HttpOnly; SameSite=Lax"
SET = b"Set-Cookie: %b\r\n" % COOKIE


def a_request(*lines: bytes) -> Request:
    head = b"GET / HTTP/1.1\r\nHost: x\r\n%b\r\n" % b"".join(b"%b\r\n" % line for line in lines)
    return read_request(head)


def a_response(*lines: bytes, status: int = 200) -> Response:
    return Response(status, b"", b"".join(b"%b\r\n" % line for line in lines), Framing.LENGTH)


@pytest.mark.parametrize(
    ("lines", "values"),
    [
        ([], []),
        ([b"Cookie: a=1"], [b"1"]),
        ([b"cookie: b=2; a=1; a=3"], [b"1", b"3"]),
        ([b"Cookie: b=2", b"Cookie: a=1"], [b"1"]),
        ([b"Cookie: ba=1; b=a=1; a"], [b""]),
        ([b"X: a=1; Cookie: a=1"], []),
    ],
)
def test_all_cookies_of_a_name_are_found_and_nothing_else(
    lines: list[bytes], values: list[bytes]
) -> None:
    assert list(cookies.values_of(a_request(*lines), b"a")) == values


def test_only_the_first_cookies_of_a_name_are_looked_at() -> None:
    line = b"Cookie: " + b"; ".join(b"a=%d" % number for number in range(500))
    values = list(cookies.values_of(a_request(line), b"a"))
    assert values == [b"%d" % number for number in range(cookies.MOST)]
    assert b"Cookie" not in cookies.without(a_request(line), b"a").lines


@given(st.lists(st.sampled_from([b"a", b"b", b"=", b";", b" ", b"1"]), max_size=12).map(b"".join))
def test_cookies_are_found_and_removed_as_if_each_pair_were_looked_at(text: bytes) -> None:
    request = a_request(b"X: a", b"Cookie: x=1;" + text)
    pairs = (b"x=1;" + text).rstrip(b" ").split(b";")
    of_name = [pair for pair in pairs if pair.partition(b"=")[0].strip() == b"a"]
    others = [pair for pair in pairs if pair not in of_name]
    values = [pair.partition(b"=")[2].strip() for pair in of_name]
    assert list(cookies.values_of(request, b"a")) == values
    left = cookies.without(request, b"a").lines
    assert left.endswith(b"\r\nCookie: %b\r\n" % b";".join(others))


def test_a_cookie_is_for_the_path_of_its_site() -> None:
    made = {
        path: cookies.for_site(b"a", b"1", prefix=path, seconds=60, is_secure=bool(path))
        for path in ("", "/api")
    }
    assert made[""] == COOKIE
    assert made["/api"] == COOKIE.replace(b"Path=/", b"Path=/api") + b"; Secure"


@pytest.mark.parametrize(
    "rule",
    [
        b"Cache-Control: private",
        b"cache-control: no-cache, PRIVATE, max-age=3",
        b"Cache-Control: no-store",
    ],
)
def test_a_response_that_no_shared_cache_stores_gets_the_cookie(rule: bytes) -> None:
    assert cookies.lines_for(COOKIE, a_response(rule)) == SET


def test_a_response_without_rules_for_caches_is_made_private() -> None:
    private = SET + b"Cache-Control: private\r\n"
    assert cookies.lines_for(COOKIE, a_response(b"X-Cache: public")) == private


@pytest.mark.parametrize(
    "rule",
    [
        b"Cache-Control: public, max-age=60",
        b"Cache-Control: no-cache",
        b'Cache-Control: private="x", max-age=60',
        b"Cache-Control: x-private",
        b"Expires: Thu, 01 Jan 2099 00:00:00 GMT",
    ],
)
def test_a_response_that_a_shared_cache_may_store_gets_no_cookie(rule: bytes) -> None:
    assert cookies.lines_for(COOKIE, a_response(rule)) == b""


def test_a_response_that_has_not_been_modified_gets_no_cookie() -> None:
    assert cookies.lines_for(COOKIE, a_response(status=304)) == b""
