"""How it ends: what is in flight is finished, then the backends are stopped, and with them streams.

The first SIGTERM or SIGINT asks for that. A second one makes it short.
"""

import logging
import signal

import trio

from blue_green.proxy.listener import Listener
from blue_green.routing.lease import cut
from blue_green.site.draining import requests_of
from blue_green.site.site import Site
from blue_green.supervisor.reload import Reload
from blue_green.supervisor.upgrade import Upgrade
from blue_green.system import handover, systemd

logger = logging.getLogger(__name__)


class Stop:
    """The end of a running site, in its order."""

    def __init__(self, site: Site, listener: Listener) -> None:
        self.asked = trio.Event()
        self._site = site
        self._listener = listener
        self._lingering = trio.CancelScope()
        self._hurry = trio.CancelScope()

    async def listen_to_signals(self, reload: Reload, upgrade: Upgrade) -> None:
        """Do what they ask for, until cancelled."""
        with trio.open_signal_receiver(*handover.HELD_BACK) as signals:
            handover.let_signals_through()
            async for received in signals:
                if received == signal.SIGHUP:
                    reload.ask()
                elif received == signal.SIGUSR2:
                    upgrade.ask()
                elif not self.asked.is_set():
                    self._site.is_stopping = True
                    self.asked.set()
                else:
                    logger.warning("%s again: stopping at once", signal.Signals(received).name)
                    self._at_once()

    async def linger(self) -> None:
        """Serve on as if nothing were, so that balancers see in time that they should not ask."""
        delay = self._site.settings.admin.drain_delay
        if not delay:
            return
        logger.info("stopping in %g s: until then only /ready tells of it", delay)
        systemd.notify("STATUS=Stopping soon", self._more_time(delay))
        with self._lingering:
            await trio.sleep(delay)

    async def wind_up(self) -> None:
        """Finish what is in hand, then stop the backends.

        New requests are served as long as there are older ones to wait for. Nobody waits for
        streams: the app hears its stop signal first, and may end them itself.
        """
        logger.info("stopping: requests in flight are finished first")
        slots = self._site.slots
        systemd.notify("STOPPING=1", "STATUS=Stopping", self._more_time())
        until = trio.current_time() + self._site.settings.swap.drain_timeout
        with self._hurry:
            await self._listener.finish(self._site.settings.swap.drain_timeout)
            self._site.gate.close("The server is stopping.")
            if late := await self._listener.drain(max(0.0, until - trio.current_time())):
                logger.warning("%d requests are cut: their time to drain is up", late)
            cut(lease for backend in slots.backends for lease in requests_of([backend.target]))
            await self._site.notify.finish()
        self._site.gate.close("The server is stopping.")
        await slots.stop()
        await self._listener.close()

    def _at_once(self) -> None:
        self._lingering.cancel()
        self._hurry.cancel()
        for backend in self._site.slots.backends:
            backend.process.kill()

    def _more_time(self, before: float = 0.0) -> str:
        """However the unit's TimeoutStopSec was chosen, what the settings allow is time enough."""
        slots = self._site.slots
        stop = max(slot.settings.app.stop_timeout for slot in slots.both)
        longest = before + self._site.settings.swap.drain_timeout + 2 * stop + 10
        return f"EXTEND_TIMEOUT_USEC={longest * 1e6:.0f}"
