"""A secret link: whoever has opened it once sees what others do not see.

Its path ends with a token that nobody can guess. It sets a cookie and redirects to the site, so
that the token is in no address that an app could read, or a browser would name as a referrer. The
cookie has another secret, derived from the token, so that it does not reveal the link.

No backend gets such a cookie, whichever site it is of, and whether it still means anything: a site
at `/` is above the others of its host, so browsers send them its cookie, too.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Awaitable
from typing import TYPE_CHECKING
from urllib.parse import unquote

from blue_green.http.heads import Framing
from blue_green.http.request import Request
from blue_green.http.response import Response
from blue_green.proxy import cookies, forwarding

if TYPE_CHECKING:  # A stream has a client, which has a site, which has this.
    from blue_green.proxy.client_stream import ClientStream

TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
COOKIE = b"blue-green-"
"""What the names of all our cookies begin with."""
PURPOSES = ("maintenance", "preview")
MARK = "-access"
"""Precedes each token, so that the access log can find it."""
LINK = re.compile(rf"(?is)((?:{'|'.join(PURPOSES)}){MARK}).+")
"""A path with a link. Whatever follows its mark may be a token, or most of one."""
MOST_DECODED = 4
"""How often a path is decoded to look for a link."""
HEAD = (
    b"Location: ../\r\n"
    b"Set-Cookie: %b\r\n"
    b"Content-Length: 0\r\n"
    b"Cache-Control: no-store\r\n"
    b"Referrer-Policy: no-referrer\r\n"
)


def new_token() -> str:
    """A token of 256 random bits."""
    return secrets.token_urlsafe(32)


def without_token(path: str) -> str:
    """The path as it may be logged: nothing of what may be a secret link, however it is encoded."""
    decoded = path
    for _ in range(MOST_DECODED):
        if MARK in decoded.lower() and (found := LINK.search(decoded)):
            return f"{decoded[: found.start()]}{found[1]}/..."
        if "%" not in decoded:
            break
        decoded = unquote(decoded, errors="replace")
    return path


def without_any(request: Request) -> Request:
    """The request as a backend may get it: without the cookies of all secret links.

    Not before it is sent there: a maintenance may begin while it waits, and needs its cookie then.
    """
    for purpose in PURPOSES:
        request = cookies.without(request, COOKIE + purpose.encode())
    return request


class SecretLink:
    """A secret link for one of the purposes."""

    def __init__(self, purpose: str, token: str) -> None:
        self.path = f"/{purpose}{MARK}/{token}"
        """Its path, below that of the site."""
        self._before_token = f"/{purpose}{MARK}/".encode()
        self._token = token.encode()
        self._name = COOKIE + purpose.encode()
        self._value = hmac.new(self._token, purpose.encode(), hashlib.sha256).hexdigest().encode()

    def open(self, stream: "ClientStream", prefix: str) -> Awaitable[None] | None:
        """The response to a request for the link, in a site whose paths begin with this prefix.

        None for all other requests.
        """
        request = stream.request
        if not self.is_opened_by(request, prefix):
            return None
        is_secure = forwarding.is_secure(stream.client.remote, request)
        return stream.respond(self.response(prefix, is_secure=is_secure), b"")

    def is_opened_by(self, request: Request, prefix: str) -> bool:
        """Whether this is a request for the link, in a site whose paths begin with this prefix."""
        path = request.target.partition(b"?")[0]
        before = prefix.encode() + self._before_token
        if request.method not in (b"GET", b"HEAD") or not path.startswith(before):
            return False
        return hmac.compare_digest(path[len(before) :], self._token)

    def response(self, prefix: str, *, is_secure: bool) -> Response:
        """Set the cookie, and redirect to the site. `is_secure`: the client uses https.

        The target is relative to the path of the link, so it is right also behind a proxy that has
        removed a part of the path, and it leads nowhere else, whatever the request says.
        """
        cookie = cookies.for_site(self._name, self._value, prefix=prefix, is_secure=is_secure)
        return Response(303, b"See Other", HEAD % cookie, Framing.LENGTH, 0)

    def is_held_by(self, request: Request) -> bool:
        """Whether the request has the cookie."""
        given = cookies.values_of(request, self._name)
        return any(hmac.compare_digest(value, self._value) for value in given)
