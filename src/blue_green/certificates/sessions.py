"""The memory that lets clients of one host resume their TLS sessions (RFC 8446 section 2.2).

A context has the keys of its session tickets, and a cache for clients of TLS 1.2 that take no
tickets. A TLS object that is made of one context and then given the certificate of another resumes
sessions of the first: so sessions survive the renewal of a certificate. They must not be resumed at
another host, whose certificate the client has not seen, and OpenSSL does not prevent that. So each
host has a context of its own.
"""

import ssl
import time
from typing import ClassVar
from weakref import WeakSet

from blue_green.certificates.pem import server_context

KEY_LIFETIME = 12 * 3600.0
"""Seconds. Who obtains the key of a ticket can decrypt the sessions of TLS 1.2 that it resumed."""
MOST_CACHED = 100
"""Sessions in the cache of a host, of 1 KB each. OpenSSL itself would keep 20,000. An open
connection keeps the whole cache that it began with, so this is about what it takes itself."""
MOST_IN_ALL = 20_000
"""Sessions in the caches of all hosts, but a host may have `FEWEST` in any case."""
FEWEST = 10


class Sessions:
    """The sessions of one host."""

    __slots__ = ("__weakref__", "_context", "_unseen", "_until")

    _all: ClassVar[WeakSet["Sessions"]] = WeakSet()

    def __init__(self) -> None:
        self._context: ssl.SSLContext | None = None
        self._until = 0.0
        """When the context is replaced (`time.monotonic`)."""
        self._unseen = 0
        """Handshakes until the cache is looked at again: each adds one session at most."""
        self._all.add(self)

    def context(self) -> ssl.SSLContext:
        """The context to make a TLS object of. It has no certificate."""
        now, context = time.monotonic(), self._context
        if context is None or now > self._until:
            context, self._unseen = self._new(now), self._most
        elif self._unseen <= 0:
            self._unseen = self._most - context.session_stats()["number"]
            if self._unseen <= 0:
                context, self._unseen = self._new(now), self._most
        self._unseen -= 1
        return context

    def _new(self, now: float) -> ssl.SSLContext:
        self._context, self._until = server_context(), now + KEY_LIFETIME
        return self._context

    @property
    def _most(self) -> int:
        return max(FEWEST, min(MOST_CACHED, MOST_IN_ALL // len(self._all)))
