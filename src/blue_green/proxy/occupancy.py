"""Which part of the connections each site occupies.

A connection whose request is held or at a backend, or has become a stream, cannot be evicted. A
site that is slow, paused or flooded would soon have all of them. So the requests of a site may
occupy no more connections than all sites together leave free: one site gets half of them at most,
two get a third each, and so on, and some are always left for another site.

While more than half of all connections are unused, none of this can matter, and nothing is counted.
"""

import math
import time
from collections.abc import Mapping, Sequence

from blue_green.http.errors import ErrorResponse
from blue_green.proxy.served_site import ServedSite

FULL = ErrorResponse(503, "Too many requests of this site are in progress.", retry_after=1)
COUNTED_AGAIN = 0.01
"""Seconds after which the requests of all sites are counted again: there may be hundreds."""


class Occupancy:
    """Limits how many connections have a request of the same site."""

    def __init__(self) -> None:
        self.is_crowded = False
        """Whether so many connections are used that `check` matters."""
        self._most = math.inf
        self._sites: Sequence[ServedSite] = ()
        self._requests: Mapping[ServedSite, int] = {}
        self._counted_at = -math.inf

    def use(self, sites: Sequence[ServedSite], most: int) -> None:
        """Share so many connections among these sites. A single one may have them all."""
        self._sites = sites
        self._most = most if len(sites) > 1 else math.inf
        self._counted_at = -math.inf

    def note(self, connections: int) -> None:
        """Note how many connections there are."""
        self.is_crowded = 2 * connections > self._most

    def check(self, site: ServedSite) -> None:
        """Raise `ErrorResponse` if the site may not have one more request."""
        now = time.monotonic()
        if now > self._counted_at + COUNTED_AGAIN:
            self._requests = {other: other.gate.requests for other in self._sites}
            self._counted_at = now
        own = site.gate.requests
        others = sum(self._requests.values()) - self._requests.get(site, 0)
        if own + own + others >= self._most:
            raise FULL.copy()
