"""Cookies of our own (RFC 6265): read from requests, and set where no shared cache stores them.

A shared cache may store a response with a Set-Cookie, and would then give one client's cookie to
all (RFC 9111 section 7.3). So a response of the app gets one only if it forbids that, or says
nothing about caching: then we forbid it.
"""

import re
from collections.abc import Iterator

from blue_green.http.request import Request
from blue_green.http.response import Response

LINE = re.compile(rb"(?im)^cookie:([^\r\n]*)")
CACHING = re.compile(rb"(?im)^(?:cache-control|expires):[ \t]*([^\r\n]*)")
NOT_SHARED = re.compile(rb"(?i)(?:^|[, \t])(?:private|no-store)[ \t]*(?:,|$)")
FORBID = b"Cache-Control: private\r\n"


def values_of(request: Request, name: bytes) -> Iterator[bytes]:
    """The values of all cookies with this name: sites with different paths may each have one."""
    if name not in request.lines:
        return
    for line in LINE.finditer(request.lines):
        for pair in line[1].split(b";"):
            given, _, value = pair.partition(b"=")
            if given.strip() == name:
                yield value.strip()


def path_for(prefix: str) -> str:
    """The path of a cookie for a site, whose paths begin with this prefix.

    A semicolon, which ends it, leaves only what is above it.
    """
    path, semicolon, _ = prefix.partition(";")
    return (path.rpartition("/")[0] if semicolon else path) or "/"


def for_site(name: bytes, value: bytes, *, prefix: str, seconds: int, is_secure: bool) -> bytes:
    """The value of Set-Cookie for a cookie that is sent to a site."""
    return b"%b=%b; Path=%b; Max-Age=%d; HttpOnly; SameSite=Lax%b" % (
        name, value, path_for(prefix).encode(), seconds, b"; Secure" if is_secure else b""
    )  # fmt: skip


def lines_for(set_cookie: bytes, response: Response) -> bytes:
    """What to add to the header lines of the app's response; nothing if a cache may share it."""
    if response.status == 304:  # It would change what the client has stored.
        return b""
    rules = CACHING.findall(response.lines)
    if not rules:
        return b"Set-Cookie: %b\r\n%b" % (set_cookie, FORBID)
    return b"Set-Cookie: %b\r\n" % set_cookie if any(map(NOT_SHARED.search, rules)) else b""
