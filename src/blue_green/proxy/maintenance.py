"""A site in maintenance: new requests get 503 and a page, but for those that are admitted.

It comes before the gate and before files, so that a request that is not admitted wakes nothing,
waits for nothing, and reaches no app. Addresses are admitted, and whoever has the cookie of the
secret link.
"""

import math
import time
from collections.abc import Awaitable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import TYPE_CHECKING

from blue_green.http.errors import ErrorResponse, MaintenanceNotice
from blue_green.http.request import Request
from blue_green.proxy import share
from blue_green.proxy.remote import Remote
from blue_green.proxy.secret_link import SecretLink
from blue_green.system import moment_text

if TYPE_CHECKING:  # A stream has a client, which has a site, which has this.
    from blue_green.proxy.client_stream import ClientStream

Network = IPv4Network | IPv6Network

RETRY_AFTER = 300
"""Seconds for Retry-After if nobody has said when the maintenance ends."""
LONGEST_RETRY_AFTER = 86400
"""Maintenance may end early, and a clock may be set."""
WHY = "The site is in maintenance."
MESSAGE = "We are working on this site. Please try again later."
"""What the page says if nobody has given a message."""


class Maintenance:
    """What applies to the requests of a site while it is in maintenance."""

    def __init__(
        self,
        message: str = "",
        until: float | None = None,
        allow: Sequence[Network] = (),
        token: str | None = None,
    ) -> None:
        """`until` is in seconds since the epoch. `token` is that of the secret link, if any."""
        self.until = until
        self.allow = allow
        self.link = SecretLink("maintenance", token) if token else None
        self.notice = MaintenanceNotice(
            message or MESSAGE, "" if until is None else moment_text.in_full(until)
        )

    def admit(self, stream: "ClientStream", prefix: str) -> Awaitable[None] | None:
        """Let an admitted request pass; raise `ErrorResponse` for others.

        Returns the response if it opens the secret link. `prefix` is that of the request's route.
        """
        link = self.link
        if link is not None and (opened := link.open(stream, prefix)) is not None:
            return opened
        if not stream.is_admitted:
            self.check(stream.client.remote, stream.request)
            stream.is_admitted = True
        return None

    def check(self, remote: Remote, request: Request) -> None:
        """Raise `ErrorResponse` for a request that is not admitted."""
        if self.link is not None and self.link.is_held_by(request):
            return
        if self.allow and self._allows(share.address_of(remote, request)):
            return
        raise ErrorResponse(503, WHY, self._retry_after(), notice=self.notice)

    def _allows(self, address: str) -> bool:
        if not address:
            return False
        ip = ip_address(address)
        return any(ip in network for network in self.allow)

    def _retry_after(self) -> int:
        if self.until is None:
            return RETRY_AFTER
        return min(max(1, math.ceil(self.until - time.time())), LONGEST_RETRY_AFTER)
