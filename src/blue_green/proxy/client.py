"""The client's side of a connection: who it is, how long we wait for it, and whether it is there.

Whatever is too late, a client that has gone, and a backend that must stop all end the whole
connection. So each connection has one cancel scope, and a note of what to answer if it is
cancelled.

Several times in each request it changes how long we are prepared to wait, and nearly always the
wait is over long before. So a time limit is a number that is noted, and not a timer that is set:
one task looks now and then at who is late (`Listener`).
"""

import time
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

import trio

from blue_green.config.kinds import TrustedProxy
from blue_green.http.errors import ErrorAnswer
from blue_green.http.request import Request
from blue_green.http.transport import Transport
from blue_green.routing.lease import Outcome

NEVER = float("inf")
MOST_REMEMBERED = 4096
"""Addresses that need not be understood anew when they connect again."""


class Client:
    """One client connection, and the request in hand."""

    def __init__(
        self,
        transport: Transport,
        address: str,
        *,
        trust: "Trust",
        scheme: bytes = b"http",
        redirects: bool = False,
    ) -> None:
        self.transport = transport
        self.address = address
        """Its IP address; nothing for a Unix socket."""
        self.trust = trust
        self._judged_by: tuple[TrustedProxy, ...] | None = None
        self._is_trusted = False
        self.scheme = scheme
        """How it came to us: by `http` or `https`."""
        self.forwarded = _forwarded(address, scheme)
        """The part of the forwarded fields that is the same for all its requests."""
        self.scope = trio.CancelScope()
        self.due = NEVER
        """When it is late, on the clock of `time.monotonic`."""
        self.late: ErrorAnswer | None = None
        """What to answer if the scope is cancelled; None: nothing, just close."""
        self.outcome = Outcome.ABORTED
        """What becomes of the lease if the scope is cancelled."""
        self.answering = False
        """A byte of the final answer was sent: no other answer can be given any more."""
        self.request: Request | None = None
        """The one in hand, or the last one."""
        self.served = False
        """It has asked for something already."""
        self.redirects = redirects
        """It came to an address that only tells where to ask instead."""
        self.head = b""
        """What was received of the request in hand, up to the end of its head."""
        self.is_reading = False
        """It has no request in hand, or one whose head is not complete."""
        self.awaited_since = NEVER
        """Since when we wait for it and for nothing else; on the clock of `time.monotonic`."""
        self.held_since: float | None = None
        """When its request, which waits, came to the gate; on the clock of `time.monotonic`."""
        self.is_parting = False
        """It has been told all that it will be told."""
        self.is_stream = False
        """What it is answered may last for ever: a tunnel, or an event stream."""
        self.is_tunnel = False
        self.gone = False
        self.gave_way = False
        """It was ended although its time was not up: others needed its place."""
        self.unsent = 0
        """Bytes of what it is being sent that it has not taken yet."""
        self._in_request = False
        self.is_ended = False
        """It is cancelled: what it is answered was said then, and what still runs has no say."""

    @property
    def trusted(self) -> bool:
        """Whether it is a proxy whose X-Forwarded fields we believe, by the settings of now."""
        proxies = self.trust.proxies
        if self._judged_by is not proxies:
            self._is_trusted = is_trusted(self.address, proxies)
            self._judged_by = proxies
        return self._is_trusted

    def allow(self, seconds: float, late: ErrorAnswer | None, outcome: Outcome) -> None:
        """From now on so long, or else this answer and this outcome."""
        if self.is_ended:
            return
        self.due = time.monotonic() + seconds
        self.late = late
        self.outcome = outcome

    def allow_all_time(self) -> None:
        if self.is_ended:
            return
        self.due = NEVER
        self.late = None
        self.outcome = Outcome.ABORTED

    def end(self) -> None:
        """End whatever goes on, in the way that was noted last."""
        self.is_ended = True
        self.scope.cancel()

    def cut(self) -> bool:
        """End the request in hand, which is lost: its backend has to stop. True."""
        gone = ErrorAnswer(502, "The backend was replaced before it answered.")
        self.late = None if self.answering else gone
        self.outcome = Outcome.CUT
        self.end()
        return True

    def give_way(self) -> None:
        """End the connection in favour of a new one, at once and without a word."""
        self.late = None
        self.outcome = Outcome.ABORTED
        self.gave_way = True
        self.end()

    def hung_up(self) -> None:
        """The client will send no more."""
        self.gone = True
        if self._in_request:
            self._leave()

    @property
    def overdue(self) -> ErrorAnswer | None:
        """What it is answered because something took too long, or had to stop, if that is so."""
        return self.late if self.is_ended else None

    @property
    def is_idle(self) -> bool:
        """It has no request in hand, and may have another one."""
        return not (self._in_request or self.is_tunnel or self.is_parting)

    @property
    def is_in_flight(self) -> bool:
        """It has a request in hand, and that has passed the gate."""
        return self._in_request and self.held_since is None and not self.is_stream

    @property
    def is_silent(self) -> bool:
        """We wait for its next request, or for it to close the connection."""
        return self.is_reading or self.is_parting

    @property
    def wants_html(self) -> bool:
        """Errors are for a person to read in a browser."""
        return self.request is not None and self.request.wants_html

    @property
    def wants_head_only(self) -> bool:
        """It asks by HEAD (RFC 9110 section 9.3.2), also where its head is no good request."""
        return self.head.lstrip(b"\r\n").startswith(b"HEAD ")

    def begin_request(self, request: Request) -> None:
        """From now on, a hang-up ends the request."""
        self.request = request
        self.answering = False
        self._in_request = True
        if self.gone:
            self._leave()

    def end_request(self) -> None:
        """From now on, the end of the client's sending is an end like any other."""
        self._in_request = self.is_reading = False

    def _leave(self) -> None:
        self.late = None
        self.outcome = Outcome.ABORTED
        self.end()

    async def send(self, data: bytes | memoryview, idle_timeout: float) -> None:
        """Send all of it to a client that may be slow, but not silent for `idle_timeout`."""
        self.unsent = len(data)
        rest = self.transport.send_now(data)
        if not rest:
            await self.transport.maybe_checkpoint()
        while rest:
            self.unsent = len(rest)
            await self.until_writable(idle_timeout)
            rest = self.transport.send_now(rest)
        self.unsent = 0

    async def until_writable(self, idle_timeout: float) -> None:
        """Wait until the client has taken something, but for no more than `idle_timeout`."""
        self.allow(idle_timeout, None, Outcome.ABORTED)
        self.awaited_since = time.monotonic()
        await trio.lowlevel.wait_writable(self.transport.sock)
        self.awaited_since = NEVER
        self.allow_all_time()


class Trust:
    """Which peers are trusted proxies; a reload replaces them, for open connections, too."""

    def __init__(self, proxies: tuple[TrustedProxy, ...]) -> None:
        self.proxies = proxies


def _forwarded(address: str, scheme: bytes) -> bytes:
    line = b"X-Forwarded-For: %b\r\n" % address.encode() if address else b""
    return b"%bX-Forwarded-Proto: %b\r\nVia: 1.1 blue-green\r\n" % (line, scheme)


@lru_cache(MOST_REMEMBERED)
def is_trusted(address: str, trusted: tuple[TrustedProxy, ...]) -> bool:
    """Whether a peer is one of the trusted proxies; without an address it is a Unix socket."""
    if not address:
        return "unix:" in trusted
    ip = ip_address(address)
    return any(network != "unix:" and ip in network for network in trusted)


@lru_cache(MOST_REMEMBERED)
def plain_address(host: str) -> str:
    """An address as others write it: IPv4 that came over an IPv6 socket is IPv4."""
    ip: IPv4Address | IPv6Address = ip_address(host.partition("%")[0])
    mapped = ip.ipv4_mapped if isinstance(ip, IPv6Address) else None
    return str(mapped or ip)
