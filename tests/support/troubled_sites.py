"""A calm site beside one that crash-loops, one with a full queue, and one with a broken deploy."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from attrs import define

from tests.support.several_sites import SeveralSites
from tests.support.site_load import SiteLoad
from tests.waiting import until

CALM, CRASHING, PAUSED, BROKEN = "calm", "crashing", "paused", "broken"
LIMIT = 5
"""Requests that the paused site may hold."""


@define
class TroubledSites:
    """The sites, with load on all of them."""

    sites: SeveralSites
    others: dict[str, SiteLoad]
    """The load on all but the calm one."""

    async def begin(self) -> None:
        """Make all the trouble, and wait until it shows."""
        self.sites[CRASHING].commit("two", dies_of_requests=True)
        self.sites[BROKEN].commit("two", raises="broken")
        await self.sites.ask("pause", site=PAUSED, seconds=600)
        await until("the others are in trouble", self._shows)

    async def _shows(self) -> bool:
        status = (await self.sites.status())["sites"]
        is_full = status[PAUSED]["held"] == LIMIT and len(self.others[PAUSED].failures) > 20
        crashes = len(self.others[CRASHING].failures) > 20
        return bool(crashes and is_full and status[BROKEN]["quarantined"])


@asynccontextmanager
async def troubled_sites(directory: Path) -> AsyncIterator[TroubledSites]:
    """All four sites, with load on all but the calm one, and no trouble yet."""
    sites = SeveralSites(directory, CALM, CRASHING, PAUSED, BROKEN)
    sites.change(PAUSED, hold={"limit": LIMIT, "timeout": "600s"})
    async with sites.running(), AsyncExitStack() as stack:
        others = {
            name: await stack.enter_async_context(sites.load(name, clients=LIMIT + 3).going_on())
            for name in (CRASHING, PAUSED, BROKEN)
        }
        yield TroubledSites(sites, others)
        await sites.ask("resume", site=PAUSED)  # So that the load can end.
