"""Cookies of our own (RFC 6265): read and removed from requests, and set where no shared cache
stores them.

A shared cache may store a response with a Set-Cookie, and would then give one client's cookie to
all (RFC 9111 section 7.3). So a response of the app gets one only if it forbids that, or says
nothing about caching: then we forbid it.
"""

import re
from collections.abc import Iterator
from itertools import islice

from attrs import evolve

from blue_green.http.request import Request
from blue_green.http.response import Response
from blue_green.proxy import shared_caches

LINE = re.compile(rb"(?im)^cookie:([^\r\n]*)\r\n")
MOST = 20
"""Cookies of one name whose values are looked at."""
FORBID = b"Cache-Control: private\r\n"


def values_of(request: Request, name: bytes) -> Iterator[bytes]:
    """The values of all cookies with this name: sites with different paths may each have one.

    There are only a few of these; those after the first `MOST` are left out.
    """
    return islice(_values_of(request, name), MOST)


def _values_of(request: Request, name: bytes) -> Iterator[bytes]:
    if name not in request.lines:
        return
    for line in LINE.finditer(request.lines):
        for _, _, value in _pairs(line[1], name):
            yield value


def without(request: Request, name: bytes) -> Request:
    """The request without the cookies of this name."""

    def others(line: re.Match[bytes]) -> bytes:
        text, kept, position = line[1], [], 0
        for begin, end, _ in _pairs(text, name):
            if begin > position:
                kept.append(text[position : begin - 1])
            position = end + 1
        if position <= len(text):
            kept.append(text[position:])
        return b"Cookie: %b\r\n" % b";".join(kept).lstrip() if kept else b""

    if name not in request.lines:
        return request
    return evolve(request, lines=LINE.sub(others, request.lines))


def _pairs(text: bytes, name: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Where each cookie with this name begins and ends, without its semicolons, and its value.

    A client may send thousands of others, so nothing is done for each of those.
    """
    found = text.find(name)
    while found >= 0:
        begin, end = text.rfind(b";", 0, found) + 1, text.find(b";", found)
        end = len(text) if end < 0 else end
        given, _, value = text[begin:end].partition(b"=")
        if given.strip() == name:
            yield begin, end, value.strip()
        found = text.find(name, end)


def for_site(
    name: bytes, value: bytes, *, prefix: str, is_secure: bool, seconds: int | None = None
) -> bytes:
    """The value of Set-Cookie for a cookie that is sent to a site.

    `prefix` is what the site's paths begin with. The cookie is kept for so many seconds, or until
    the browser is closed.
    """
    path = prefix or "/"  # It has no semicolon, which would end it.
    lasts = b"" if seconds is None else b"; Max-Age=%d" % seconds
    return b"%b=%b; Path=%b%b; HttpOnly; SameSite=Lax%b" % (
        name, value, path.encode(), lasts, b"; Secure" if is_secure else b""
    )  # fmt: skip


def lines_for(set_cookie: bytes, response: Response) -> bytes:
    """What to add to the header lines of the app's response; nothing if a cache may share it."""
    if response.status == 304:  # It would change what the client has stored.
        return b""
    is_shared = shared_caches.are_allowed(response)
    if is_shared is None:
        return b"Set-Cookie: %b\r\n%b" % (set_cookie, FORBID)
    return b"" if is_shared else b"Set-Cookie: %b\r\n" % set_cookie
