"""What all client connections have in common."""

import itertools
import secrets

import trio
from attrs import define, field

from blue_green.config.process_settings import ProxySettings
from blue_green.http.errors import Pages
from blue_green.http.request import REQUEST_ID, Request
from blue_green.proxy.client import Client
from blue_green.proxy.disconnects import Disconnects
from blue_green.proxy.pool import Pool
from blue_green.routing.gate import Gate


@define
class Shared:
    """Of these there is one for each listener."""

    settings: ProxySettings
    gate: Gate
    pool: Pool
    disconnects: Disconnects
    pages: Pages
    closing: bool = False
    """The server stops: each connection ends with the request in hand."""
    closing_tls: bool = False
    """Each connection with TLS ends with the request in hand."""
    door: trio.Event | None = None
    """No connection is accepted before this."""
    resting: trio.Event | None = None
    """No request may begin before this."""
    _ids: "itertools.count[int]" = field(factory=itertools.count)
    _prefix: bytes = field(factory=lambda: secrets.token_hex(5).encode())

    def is_last(self, client: Client) -> bool:
        """Whether this client's connection ends with the request in hand."""
        return self.closing or (self.closing_tls and not client.transport.is_plain)

    def request_id(self, client: Client, request: Request) -> bytes:
        """The one that a trusted proxy gave it, or a new one."""
        if request.told and client.trusted:
            given = request.told.get(b"x-request-id")
            if given and REQUEST_ID.fullmatch(given):
                return given
        return b"%b-%x" % (self._prefix, next(self._ids))
