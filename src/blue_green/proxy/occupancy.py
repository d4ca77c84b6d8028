"""Which part of the connections each site occupies.

A connection whose request is held or at a backend, or has become a stream, cannot be evicted. A
site that is slow, paused or flooded would soon have all of them. So the requests of a site may
occupy no more connections than all sites together leave free: one site gets half of them at most,
two get a third each, and so on, and some are always left for another site.
"""

import math

from blue_green.http.errors import ErrorResponse
from blue_green.proxy.served_site import ServedSite

FULL = ErrorResponse(503, "Too many requests of this site are in progress.", retry_after=1)


class Occupancy:
    """How many connections have a request of a site."""

    def __init__(self, most: float = math.inf) -> None:
        self.most = most
        """All connections; infinite where one site may have them all."""
        self.total = 0

    def enter(self, site: ServedSite) -> None:
        """Count a request of the site, until `leave`; raise `ErrorResponse` if it has too many."""
        site.requests += 1
        self.total += 1
        if site.requests + self.total - 1 > self.most:
            raise FULL

    def leave(self, site: ServedSite) -> None:
        site.requests -= 1
        self.total -= 1
