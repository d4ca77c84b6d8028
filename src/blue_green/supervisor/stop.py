"""Stop of the service: requests in flight finish, then the backends and their streams end.

The first SIGTERM or SIGINT starts it. A second one stops everything at once.
"""

import logging
import signal
from collections.abc import Awaitable, Callable

import trio

from blue_green.proxy.listener import Listener
from blue_green.routing.lease import cut
from blue_green.site.draining import requests_of
from blue_green.site.site import Site
from blue_green.site.sites import Sites
from blue_green.supervisor.background_job import BackgroundJob
from blue_green.supervisor.site_runners import SiteRunners
from blue_green.system import handover, systemd
from blue_green.system.printable import counted

logger = logging.getLogger(__name__)

STOPPING = "The server is stopping."


class Stop:
    """Stops the sites and the proxy, step by step."""

    def __init__(self, sites: Sites, runners: SiteRunners, listener: Listener) -> None:
        self.requested = trio.Event()
        self._sites = sites
        self._runners = runners
        self._listener = listener
        self._lingering = trio.CancelScope()
        self._hurry = trio.CancelScope()

    async def handle_signals(self, reload: BackgroundJob, upgrade: BackgroundJob) -> None:
        """Stop, reload and upgrade on signals, until cancelled."""
        with trio.open_signal_receiver(*handover.HELD_BACK) as signals:
            handover.let_signals_through()
            async for received in signals:
                if received == signal.SIGHUP:
                    reload.request()
                elif received == signal.SIGUSR2:
                    upgrade.request()
                elif not self.requested.is_set():
                    self._sites.stop()
                    self.requested.set()
                else:
                    logger.warning("%s again: stopping at once", signal.Signals(received).name)
                    self._stop_now()

    async def linger(self) -> None:
        """Go on serving for `drain_delay`, so that load balancers notice and send no more."""
        delay = self._sites.settings.admin.drain_delay
        if not delay:
            return
        logger.info("stopping in %g s: until then only /ready reports it", delay)
        systemd.notify("STATUS=Stopping soon", self._more_time(delay))
        with self._lingering:
            await trio.sleep(delay)

    async def shut_down(self) -> None:
        """Finish in-flight requests, then stop the backends.

        New requests are served as long as there are older ones to wait for. Streams are not waited
        for: the app gets its stop signal, and may close them itself.
        """
        logger.info("stopping: finishing in-flight requests first")
        systemd.notify("STOPPING=1", "STATUS=Stopping", self._more_time())
        longest = max((site.settings.swap.drain_timeout for site in self._sites), default=0.0)
        until = trio.current_time() + longest
        with self._hurry:
            async with trio.open_nursery() as limits:
                for site in self._sites:
                    if site.settings.swap.drain_timeout < longest:
                        limits.start_soon(_cut_overdue, site)
                await self._listener.finish(longest)
                self._close_gates()
                await self._listener.drain(max(0.0, until - trio.current_time()))
                limits.cancel_scope.cancel()
            for site in self._sites:
                _cut_requests(site)
            await self._for_each(lambda site: site.notify.finish())
        self._close_gates()
        await self._for_each(lambda site: site.slots.stop())
        await self._listener.close()

    def _close_gates(self) -> None:
        for site in self._sites:
            site.gate.close(STOPPING)

    async def _for_each(self, do: Callable[[Site], Awaitable[None]]) -> None:
        """Do this for all sites at once. An error of ours in one must not affect the others."""

        async def do_one(site: Site) -> None:
            try:
                await do(site)
            except Exception:
                logger.exception("%s: an error of the supervisor", site.name)

        async with trio.open_nursery() as nursery:
            for site in self._sites:
                nursery.start_soon(do_one, site)

    def _stop_now(self) -> None:
        self._lingering.cancel()
        self._hurry.cancel()
        for site in self._sites:
            site.slots.kill()
        self._runners.kill_removed()

    def _more_time(self, before: float = 0.0) -> str:
        """Extend the unit's TimeoutStopSec= to what the settings allow (sd_notify(3))."""
        longest = 10 + before + max(map(_longest_stop, self._sites), default=0.0)
        return f"EXTEND_TIMEOUT_USEC={longest * 1e6:.0f}"


def _longest_stop(site: Site) -> float:
    """Seconds that the requests, the backends and the processes of a site may take to end."""
    stop = max(slot.settings.longest_stop for slot in site.slots.both)
    return site.settings.swap.drain_timeout + stop


async def _cut_overdue(site: Site) -> None:
    """Cut the requests of a site that are left after its `drain_timeout`."""
    await trio.sleep(site.settings.swap.drain_timeout)
    site.gate.close(STOPPING)
    site.gate.switch(())
    _cut_requests(site)


def _cut_requests(site: Site) -> None:
    requests = requests_of([backend.target for backend in site.slots.backends])
    if requests:
        logger.warning("cutting %s: drain_timeout is over", counted(len(requests), "request"))
    cut(requests)
