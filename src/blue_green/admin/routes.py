"""What the admin address answers: a page for people, and the rest for programs and for pushes.

The library that writes metrics is loaded when they are asked for the first time: that takes longer
than the rest of a start, and during an upgrade in place requests wait for the start.
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
from blue_green.admin.server import Handler, Reading, Reply, Routes, Stream
from blue_green.config.admin_paths import EVENTS, LIVE, METRICS, PAGE, READY
from blue_green.site.site import Site


def why_not_ready(site: Site) -> str:
    """Why a balancer should send its requests elsewhere; nothing if it may send them here.

    As long as there is something to wait for, it may: they are held, and answered.
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
        routes: dict[str, Mapping[str, Handler | Reading]] = {
            # OPTIONS / is what HAProxy asks unless it is told what to ask.
            PAGE: {"GET": self.page, "OPTIONS": self.ready},
            EVENTS: {"GET": self.events},
            READY: {"GET": self.ready, "OPTIONS": self.ready},
            LIVE: {"GET": self.live},
            METRICS: {"GET": self.metrics},
        }
        if self._hook is not None:
            routes[self._hook_path] = {"POST": Reading(partial(self.push, self._hook), MAX_BODY)}
        return routes

    async def page(self) -> Reply:
        """What runs and how it goes, for people."""
        return self._page

    async def events(self) -> Stream:
        """The same for the page, as it changes."""
        return Stream("text/event-stream", self._events.send_all)

    async def ready(self) -> Reply:
        """Whether to send requests here: 200, or 503 and why not."""
        why_not = why_not_ready(self._site)
        return Reply(503, f"{why_not}\n".encode()) if why_not else Reply(200, b"ready\n")

    async def live(self) -> Reply:
        """That it can be answered is the answer: the event loop turns."""
        return Reply(200, b"live\n")

    async def metrics(self) -> Reply:
        if self._exposition is None:
            module = await trio.to_thread.run_sync(import_module, "blue_green.admin.exposition")
            self._exposition = module.Exposition(
                self._site, is_ready=lambda: not why_not_ready(self._site)
            )
        return Reply(200, await self._exposition.text(), self._exposition.content_type)

    async def push(self, hook: Hook, message: Message) -> Reply:
        """Something was pushed, as long as there is somebody to look what."""
        if self._site.is_stopping:
            return Reply(503, b"The server is stopping.\n")
        return await hook.push(message)
