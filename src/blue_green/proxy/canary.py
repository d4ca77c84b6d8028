"""A canary: a share of the clients is sent to a release on trial, and always the same ones.

Each client has a number from 0 to 9999, and those below a limit are in. So a larger share keeps all
who are in already. The number is a hash of the client's address, with the revision as its salt, so
that each canary has other clients. It is then kept in a cookie, since addresses change. A cookie of
another canary means nothing.
"""

import random
from hashlib import blake2b

from blue_green.http.request import Request
from blue_green.proxy import cookies, forwarding, share
from blue_green.proxy.remote import Remote

NUMBERS = 10_000
COOKIE = b"blue-green-canary"
FORWARDED = (b"x-forwarded-for", b"forwarded")


class Canary:
    """Decides which clients are in."""

    def __init__(self, site: str, revision: str, percent: float, seconds: float) -> None:
        self.percent = percent
        """May be changed at any time."""
        self.seconds = seconds
        """How long the cookie is kept; may be changed, too."""
        self._salt = blake2b(f"{site}/{revision}".encode(), digest_size=16).digest()
        self._prefix = self._salt[:6].hex().encode() + b"."

    def admit(self, remote: Remote, request: Request, prefix: str) -> tuple[bool, bytes]:
        """Whether the client is in, and the value of Set-Cookie if it has no cookie."""
        cookie = b""
        number = self._number_in(request)
        if number is None:
            number = self._number_for(remote, request)
            cookie = cookies.for_site(
                COOKIE, self._prefix + b"%d" % number,
                prefix=prefix, seconds=max(1, round(self.seconds)),
                is_secure=forwarding.is_secure(remote, request),
            )  # fmt: skip
        return number * 100 < self.percent * NUMBERS, cookie

    def _number_in(self, request: Request) -> int | None:
        """The number in the cookie that this canary has set."""
        for value in cookies.values_of(request, COOKIE):
            digits = value.removeprefix(self._prefix)
            if digits != value and digits.isdigit() and len(digits) < 5:
                return int(digits)
        return None

    def _number_for(self, remote: Remote, request: Request) -> int:
        """The number of a client without a cookie."""
        client = share.of_request(remote, request).encode()
        if not client:  # Whatever a proxy says that nobody trusts: it does for this.
            given = (request.forwarding.get(name) for name in FORWARDED)
            client = next((value for value in given if value), b"")
        if not client:
            return random.randrange(NUMBERS)
        digest = blake2b(client, key=self._salt, digest_size=8).digest()
        return int.from_bytes(digest, "big") % NUMBERS
