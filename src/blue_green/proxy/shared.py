"""State shared by all client connections of one server."""

import itertools
import secrets
from collections import Counter
from collections.abc import Callable
from typing import Protocol

import trio
from attrs import define, field

from blue_green.http.errors import ErrorPages
from blue_green.http.request import REQUEST_ID, Request
from blue_green.http.request_head import ParsedHead, parse_head
from blue_green.http2.session import SessionLimits
from blue_green.proxy.client import Client
from blue_green.proxy.disconnects import Disconnects
from blue_green.proxy.http2.unread import UnreadTotal
from blue_green.proxy.remote import Remote


class Limits(Protocol):
    """The settings of a connection, in seconds and bytes."""

    @property
    def header_timeout(self) -> float: ...

    @property
    def idle_timeout(self) -> float: ...

    @property
    def max_head(self) -> int: ...

    @property
    def access_log(self) -> bool: ...

    @property
    def log_format(self) -> str: ...


class Admission(Protocol):
    """Has the places for clients: one for each connection, and for each request of HTTP/2."""

    def admit(self, client: Client) -> bool:
        """Give a place to a request; False if none is free."""

    def dismiss(self, client: Client) -> None:
        """Take its place back."""


@define
class Shared:
    """One for each server."""

    settings: Limits
    pages: ErrorPages
    """Of errors for requests that have no site; those of the others are in the site."""
    by_status: Counter[int]
    """How many requests that had no site have ended with each status."""
    http2: SessionLimits = field(factory=SessionLimits)
    """For new connections of HTTP/2."""
    unread: UnreadTotal = field(factory=UnreadTotal)
    """What has arrived of bodies over HTTP/2 and was not read yet."""
    idle_workers: int = 0
    """Tasks of all connections that wait for a stream."""
    begun_streams: int = 0
    """Streams of HTTP/2 whose tasks have not run yet."""
    over_max_streams: int = 0
    """Requests of HTTP/2 that were refused so far because of `max_streams`."""
    admission: Admission | None = None
    """None: every request has a place."""
    disconnects: Disconnects | None = None
    """Reports clients that disconnect; without it, only a failing call does."""
    parse_head: Callable[[bytes, int, int], ParsedHead | None] = parse_head
    """Parses request heads on the slow path; see `http.request_head.parse_head`."""
    closing: bool = False
    """The server stops: each connection ends with its current request."""
    closing_tls: bool = False
    """Each connection with TLS ends with its current request."""
    last_streams: bool = False
    """Each connection of HTTP/2 ends with the requests that have been sent already."""
    accept_paused: trio.Event | None = None
    """Unless None, no connection is accepted before this event."""
    quiesced: trio.Event | None = None
    """Unless None, no request may begin before this event."""
    _ids: "itertools.count[int]" = field(factory=itertools.count)
    _prefix: bytes = field(factory=lambda: secrets.token_hex(5).encode())

    def pages_for(self, client: Client) -> ErrorPages:
        """The pages for the errors of this client's current request."""
        return self.pages if client.site is None else client.site.pages

    def is_last(self, client: Client) -> bool:
        """Whether this client's connection ends with its current request."""
        return self.closing or (self.closing_tls and not client.transport.is_plain)

    def request_id(self, remote: Remote, request: Request) -> bytes:
        """The one that a trusted proxy gave it, or a new one."""
        if request.forwarding and remote.trusted:
            given = request.forwarding.get(b"x-request-id")
            if given and REQUEST_ID.fullmatch(given):
                return given
        return b"%b-%x" % (self._prefix, next(self._ids))
