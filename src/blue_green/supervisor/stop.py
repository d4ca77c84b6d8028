"""Stop of the service: requests in flight finish, then the backends and their streams end.

The first SIGTERM or SIGINT starts it. A second one stops everything at once.
"""

import logging
import signal

import trio

from blue_green.proxy.listener import Listener
from blue_green.routing.lease import cut
from blue_green.site.draining import requests_of
from blue_green.site.site import Site
from blue_green.site.sites import Sites
from blue_green.supervisor.background_job import BackgroundJob
from blue_green.system import handover, systemd
from blue_green.system.printable import counted

logger = logging.getLogger(__name__)


class Stop:
    """Stops a running site, step by step."""

    def __init__(self, sites: Sites, site: Site, listener: Listener) -> None:
        self.requested = trio.Event()
        self._sites = sites
        self._site = site
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
        slots = self._site.slots
        systemd.notify("STOPPING=1", "STATUS=Stopping", self._more_time())
        until = trio.current_time() + self._site.settings.swap.drain_timeout
        with self._hurry:
            await self._listener.finish(self._site.settings.swap.drain_timeout)
            self._site.gate.close("The server is stopping.")
            if left := await self._listener.drain(max(0.0, until - trio.current_time())):
                logger.warning("cutting %s: drain_timeout is over", counted(left, "request"))
            cut(lease for backend in slots.backends for lease in requests_of([backend.target]))
            await self._site.notify.finish()
        self._site.gate.close("The server is stopping.")
        await slots.stop()
        await self._listener.close()

    def _stop_now(self) -> None:
        self._lingering.cancel()
        self._hurry.cancel()
        for backend in self._site.slots.backends:
            backend.process.kill()

    def _more_time(self, before: float = 0.0) -> str:
        """Extend the unit's TimeoutStopSec= to what the settings allow (sd_notify(3))."""
        slots = self._site.slots
        stop = max(slot.settings.app.stop_timeout for slot in slots.both)
        longest = before + self._site.settings.swap.drain_timeout + 2 * stop + 10
        return f"EXTEND_TIMEOUT_USEC={longest * 1e6:.0f}"
