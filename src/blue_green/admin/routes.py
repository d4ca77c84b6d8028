"""The routes of the admin address: the status page, health endpoints, metrics, and the webhooks.

`?site=NAME` selects one of several sites. No route keeps a list of them, since a reload may add and
remove sites.

The metrics library is loaded at the first scrape: loading it takes longer than the rest of the
start, and requests wait for the start during an upgrade in place.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

import trio

from blue_green.admin.events import Events
from blue_green.admin.hook import Hooks
from blue_green.admin.page import page
from blue_green.admin.readiness import Readiness
from blue_green.admin.server import Methods, Reply, Routes, StreamReply
from blue_green.config.admin_paths import EVENTS, LIVE, METRICS, PAGE, READY
from blue_green.proxy.client_counts import ClientCounts
from blue_green.site.sites import Sites

if TYPE_CHECKING:
    from blue_green.admin.exposition import Exposition

EVERY = "*"
"""Instead of a site's name: all of them."""
SITE = re.compile(r"(?:^|&)site=([^&]*)")


class AdminPages:
    """The routes of the admin address."""

    for_browsers = (PAGE, EVENTS)

    def __init__(
        self,
        sites: Sites,
        unrouted: Mapping[int, int] = {},
        clients: Callable[[], ClientCounts] = ClientCounts,
    ) -> None:
        """`unrouted`: how many requests to no site have ended with each status."""
        self._sites = sites
        self._unrouted = unrouted
        self._clients = clients
        self._exposition: Exposition | None = None
        self._events = Events(sites)
        self._readiness = Readiness(sites)
        self._hooks = Hooks(sites)
        self._page = page()

    @property
    def routes(self) -> Routes:
        return {
            # HAProxy's health check sends OPTIONS / by default.
            PAGE: {"GET": self.page, "OPTIONS": self.ready},
            EVENTS: {"GET": self.events},
            READY: {"GET": self.ready, "OPTIONS": self.ready},
            LIVE: {"GET": self.live},
            METRICS: {"GET": self.metrics},
        }

    def find_hook(self, path: str) -> Methods | None:
        """The route of the webhook with this path, if a site has it."""
        return self._hooks.find(path)

    async def page(self, query: str) -> Reply:
        """The status page."""
        return self._page

    async def events(self, query: str) -> StreamReply:
        """The page's data, as server-sent events."""
        send_all = partial(self._events.send_all, site_in(query))
        return StreamReply("text/event-stream", send_all)

    async def ready(self, query: str) -> Reply:
        """Readiness: 200, or 503 with the reason."""
        await self._readiness.until_known()
        readiness, name = self._readiness, site_in(query)
        if name is None:
            is_ready, text = readiness.of_machine()
        elif name == EVERY:
            is_ready, text = readiness.of_every_site()
        elif found := readiness.of_site(name):
            is_ready, text = found
        else:
            return Reply(404, b"There is no such site.\n")
        return Reply(200 if is_ready else 503, text.encode())

    async def live(self, query: str) -> Reply:
        """Liveness: any answer shows that the event loop turns."""
        return Reply(200, b"live\n")

    async def metrics(self, query: str) -> Reply:
        if self._exposition is None:
            module = await trio.to_thread.run_sync(import_module, "blue_green.admin.exposition")
            self._exposition = module.Exposition(self._sites, self._unrouted, self._clients)
        return Reply(200, await self._exposition.text(), self._exposition.content_type)


def site_in(query: str) -> str | None:
    """The name in `site=NAME` of a query."""
    found = SITE.search(query)
    return unquote_plus(found[1]) if found else None
