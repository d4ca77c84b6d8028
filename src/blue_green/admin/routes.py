"""The routes of the admin address: the status page, health endpoints, metrics, and the webhook.

The metrics library is loaded at the first scrape: loading it takes longer than the rest of the
start, and requests wait for the start during an upgrade in place.
"""

from collections.abc import Mapping
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

import trio

from blue_green.admin.events import Events
from blue_green.admin.hook import MAX_BODY, Hook
from blue_green.admin.page import page
from blue_green.admin.request_body import Message
from blue_green.admin.server import BodyRoute, Reply, Route, Routes, StreamReply
from blue_green.config.admin_paths import EVENTS, LIVE, METRICS, PAGE, READY
from blue_green.site.site import Site


def why_not_ready(site: Site) -> str:
    """Why a load balancer should send its requests elsewhere; empty if the site is ready.

    A site that holds requests is ready as long as they will be answered.
    """
    if site.is_stopping:
        return "The server is stopping."
    if site.gate.why_down:
        return site.gate.why_down
    if site.slots.live is None:
        return "No release is live yet."
    return ""


if TYPE_CHECKING:
    from blue_green.admin.exposition import Exposition


class AdminPages:
    """The routes of the admin address."""

    for_browsers = (PAGE, EVENTS)

    def __init__(self, site: Site) -> None:
        self._site = site
        self._exposition: Exposition | None = None
        self._events = Events(site)
        self._page = page()
        webhook = site.settings.webhook
        self._hook_path = webhook.path
        self._hook: Hook | None = None
        if webhook.secret_file is not None:
            self._hook = Hook(webhook.secret_file, site.watch.pull_now)

    @property
    def routes(self) -> Routes:
        routes: dict[str, Mapping[str, Route | BodyRoute]] = {
            # HAProxy's health check sends OPTIONS / by default.
            PAGE: {"GET": self.page, "OPTIONS": self.ready},
            EVENTS: {"GET": self.events},
            READY: {"GET": self.ready, "OPTIONS": self.ready},
            LIVE: {"GET": self.live},
            METRICS: {"GET": self.metrics},
        }
        if self._hook is not None:
            routes[self._hook_path] = {"POST": BodyRoute(partial(self.push, self._hook), MAX_BODY)}
        return routes

    async def page(self) -> Reply:
        """The status page."""
        return self._page

    async def events(self) -> StreamReply:
        """The page's data, as server-sent events."""
        return StreamReply("text/event-stream", self._events.send_all)

    async def ready(self) -> Reply:
        """Readiness: 200, or 503 with the reason."""
        why_not = why_not_ready(self._site)
        return Reply(503, f"{why_not}\n".encode()) if why_not else Reply(200, b"ready\n")

    async def live(self) -> Reply:
        """Liveness: any answer shows that the event loop turns."""
        return Reply(200, b"live\n")

    async def metrics(self) -> Reply:
        if self._exposition is None:
            module = await trio.to_thread.run_sync(import_module, "blue_green.admin.exposition")
            self._exposition = module.Exposition(
                self._site, is_ready=lambda: not why_not_ready(self._site)
            )
        return Reply(200, await self._exposition.text(), self._exposition.content_type)

    async def push(self, hook: Hook, message: Message) -> Reply:
        """A webhook call; refused while the supervisor stops, since no fetch would follow."""
        if self._site.is_stopping:
            return Reply(503, b"The server is stopping.\n")
        return await hook.push(message)
