"""A supervisor that is killed."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from tests.support.site import RealSite
from tests.waiting import until


async def until_remembered(site: RealSite, revision: str) -> None:
    """What has just happened is written down a moment later; before that, a kill undoes it."""

    def is_remembered() -> bool:
        state = site.remembered()
        is_live = state.get("live", {}).get("revision") == revision
        return is_live and any(swap["revision"] == revision for swap in state["history"])

    await until(f"{revision[:7]} is remembered", is_remembered)


@asynccontextmanager
async def killed_at_the_end(site: RealSite) -> AsyncIterator[None]:
    """A supervisor until the block ends; then it is killed, and nothing else is."""
    site.start()
    try:
        status = await site.until_phase("serving")
        await until_remembered(site, status["live"]["revision"])
        yield
    finally:
        with trio.CancelScope(shield=True):
            assert await site.stop(signal.SIGKILL) == -signal.SIGKILL, site.log()
