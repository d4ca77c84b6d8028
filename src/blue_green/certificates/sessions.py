"""The memory that lets clients of one host resume their TLS sessions (RFC 8446 section 2.2).

A context has the keys of its session tickets, and a cache for clients of TLS 1.2 that take no
tickets. A TLS object that is made of one context and then given the certificate of another resumes
sessions of the first: so sessions survive the renewal of a certificate. They must not be resumed at
another host, whose certificate the client has not seen, and OpenSSL does not prevent that. So each
host has a context of its own.
"""

import ssl
import time

from blue_green.certificates.pem import server_context

KEY_LIFETIME = 12 * 3600.0
"""Seconds. Who obtains the key of a ticket can decrypt the sessions of TLS 1.2 that it resumed."""
MOST_CACHED = 1000
"""Sessions in the cache, of 1 KB each. OpenSSL itself would keep 20,000."""
LOOK_EVERY = 0.5
"""Seconds between looks at the cache."""


class Sessions:
    """The sessions of one host."""

    __slots__ = ("_context", "_look_at", "_until")

    def __init__(self) -> None:
        self._context: ssl.SSLContext | None = None
        self._until = 0.0
        """When the context is replaced, and when to look at its cache (`time.monotonic`)."""
        self._look_at = 0.0

    def context(self) -> ssl.SSLContext:
        """The context to make a TLS object of. It has no certificate."""
        now = time.monotonic()
        context = self._context
        if context is not None and now < self._look_at:
            return context
        self._look_at = now + LOOK_EVERY
        if context is None or now > self._until or is_full(context):
            context = self._context = server_context()
            self._until = now + KEY_LIFETIME
        return context


def is_full(context: ssl.SSLContext) -> bool:
    """Whether too many sessions are in the cache."""
    return context.session_stats()["number"] > MOST_CACHED
