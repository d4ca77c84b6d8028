"""The client at the other end of a connection: its address, and whether it is a trusted proxy."""

from functools import lru_cache
from ipaddress import ip_address

from blue_green.config.kinds import TrustedProxy

MOST_CACHED = 4096
"""Addresses whose parsed form is kept for the next connection."""


class Trust:
    """The trusted proxies. A reload replaces them, also for connections that are open."""

    def __init__(self, proxies: tuple[TrustedProxy, ...]) -> None:
        self.proxies = proxies


class Remote:
    """One client, as its connection shows it."""

    __slots__ = (
        "_checked_against", "_is_trusted", "address", "forwarded", "scheme", "speaks_http2",
        "trust", "version",
    )  # fmt: skip

    def __init__(self, address: str, *, trust: Trust, scheme: bytes = b"http") -> None:
        self.address = address
        """Its IP address; empty for a Unix socket."""
        self.trust = trust
        self.scheme = scheme
        """How it connected to us: `http` or `https`."""
        self.version = b"1.1"
        """The version of HTTP on its connection."""
        self.speaks_http2 = False
        self.forwarded = self._forwarded()
        """The forwarding header lines that are the same for all its requests of this version."""
        self._checked_against: tuple[TrustedProxy, ...] | None = None
        self._is_trusted = False

    def use_http2(self) -> None:
        """Note that the handshake has chosen HTTP/2."""
        self.speaks_http2 = True
        self.version = b"2.0"
        self.forwarded = self._forwarded()

    @property
    def trusted(self) -> bool:
        """Whether it is a proxy whose X-Forwarded fields we believe, by the current settings."""
        proxies = self.trust.proxies
        if self._checked_against is not proxies:
            self._is_trusted = is_trusted(self.address, proxies)
            self._checked_against = proxies
        return self._is_trusted

    def _forwarded(self) -> bytes:
        line = b"X-Forwarded-For: %b\r\n" % self.address.encode() if self.address else b""
        return b"%bX-Forwarded-Proto: %b\r\nVia: %b blue-green\r\n" % (
            line, self.scheme, self.version
        )  # fmt: skip


@lru_cache(MOST_CACHED)
def is_trusted(address: str, trusted: tuple[TrustedProxy, ...]) -> bool:
    """Whether a peer is one of the trusted proxies; one without an address is a Unix socket."""
    if not address:
        return "unix:" in trusted
    ip = ip_address(address)
    return any(network != "unix:" and ip in network for network in trusted)
