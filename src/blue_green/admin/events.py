"""The page's data: server-sent events, each with one JSON object.

An event is sent every second, so a reader that gets none for a while knows that the supervisor does
not answer. An event is made when its reader is ready for it, so a slow reader delays nothing and
buffers nothing. Sites come and go: each event looks its site up again. An event that does not build
on the events before it has `complete: true`.
"""

from typing import Protocol

import trio

from blue_green.admin.overview import Overview
from blue_green.admin.server import Send
from blue_green.admin.site_events import MissingSite, SiteEvents
from blue_green.site.sites import Sites

INTERVAL = 1.0
MIN_INTERVAL = 0.05
"""Minimum seconds between two events, even if swaps change their phases faster."""


class Source(Protocol):
    """Makes the events of one reader."""

    async def next_event(self) -> str:
        """The next event, as JSON."""

    async def until_changed(self) -> None:
        """Wait until there is a reason for an event before its time."""


class Events:
    """The event streams: of one site, and of all together."""

    def __init__(self, sites: Sites) -> None:
        self._sites = sites

    async def send_all(self, name: str | None, send: Send) -> None:
        """Send events of the site with this name until cancelled; without a name, of all sites."""
        source: Source | None = None
        while True:
            sent_at = trio.current_time()
            source = self._source(name, source)
            await send(f"data: {await source.next_event()}\n\n".encode(errors="replace"))
            await trio.sleep_until(sent_at + MIN_INTERVAL)
            with trio.move_on_at(sent_at + INTERVAL):
                await source.until_changed()

    def _source(self, name: str | None, last: Source | None) -> Source:
        """What makes the next event: the last source, as long as it is the right one."""
        sites = self._sites
        if name is None and not (sites.is_single and sites.only):
            return last if isinstance(last, Overview) else Overview(sites)
        site = sites.only if name is None else sites.get(name)
        if site is None:
            return MissingSite(sites, name or "")
        return last if isinstance(last, SiteEvents) and last.site is site else SiteEvents(site)
