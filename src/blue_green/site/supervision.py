"""Supervision of a live slot: a backend that dies is restarted, and requests wait meanwhile.

A candidate and a draining slot are not supervised: a death there is for the swap to handle. A
restarted backend is not warmed up, since requests wait for it.
"""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import trio

from blue_green.config.kinds import Endpoint
from blue_green.site import probation
from blue_green.site.crash import SHORTEST_LIFE, STABLE, TOO_MANY_DEATHS, Crash
from blue_green.site.port_conflicts import RETRY_INTERVAL
from blue_green.site.unhealthy import until_unhealthy
from blue_green.source.failure import PortTaken, StepFailed

if TYPE_CHECKING:
    from blue_green.site.backend import Backend
    from blue_green.site.site import Site
    from blue_green.site.slot import Slot

logger = logging.getLogger(__name__)

REMINDER_INTERVAL = 60.0
"""Seconds until a backend that is still unhealthy is reported again."""


class Supervision:
    """Restarts the backends of a slot until cancelled."""

    def __init__(self, slot: "Slot", site: "Site") -> None:
        self.settled = trio.Event()
        """Each backend has come up, or failed to come up, at least once."""
        self._slot = slot
        self._site = site
        self._scope = trio.CancelScope()
        self._unsettled = set(slot.addresses)
        if slot.is_static:
            self.settled.set()
        self._failing: set[Endpoint] = set()
        """Addresses whose backend has died too often."""

    def cancel(self) -> None:
        """Restart nothing from now on; backends that run go on."""
        self._scope.cancel()

    async def run(self) -> None:
        """Supervise the backend on each address."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                for address in self._slot.addresses:
                    nursery.start_soon(self._supervise_address, address)

    async def _supervise_address(self, address: Endpoint) -> None:
        deaths = 0
        while True:
            began = trio.current_time()
            try:
                has_worked, failure = await self._run_once(address)
            except PortTaken as conflict:
                await self._report_conflict(address, str(conflict), deaths)
                await trio.sleep(RETRY_INTERVAL)
                continue
            deaths = 1 if has_worked else deaths + 1
            if deaths >= TOO_MANY_DEATHS:
                self._failing.add(address)
            if self._failing.issuperset(self._slot.addresses):
                self._site.gate.refuse("The site is down: it keeps failing to start.")
            crash = await self._remove(address, failure, deaths)
            logger.error("the live backend on %s is down: %s", address.short, crash.reason)
            logger.info("restarting it%s", f" in {crash.delay:g} s" if crash.delay else "")
            self._site.report_crash(crash)
            self._settle(address)
            await trio.sleep(crash.delay)
            await trio.sleep_until(began + SHORTEST_LIFE)
            self._slot.restarts += 1

    async def _run_once(self, address: Endpoint) -> tuple[bool, str | None]:
        """Bring the backend up and wait until it ends: whether it worked, and why it failed.

        Raises `PortTaken` if it cannot start because of another program.
        """
        gate = self._site.gate
        try:
            backend = self._slot.backend_on(address)
            if backend is None:
                backend = await self._slot.start_backend(address)
            if not backend.is_up:
                # A supervised backend is judged by the newest settings, a candidate by its swap's.
                await probation.until_healthy(backend, self._site.settings.health)
            if backend.target not in gate.targets:
                gate.admit(backend.target)
            gate.stop_refusing()
            self._failing.discard(address)
            if self._slot.crash is not None and self._slot.crash.address == address:
                self._slot.crash = None
            self._site.slots.port_conflicts.forget(address)
            self._settle(address)
            healthy_at = trio.current_time()
            await self._report_until_dead(backend)
        except PortTaken:
            raise
        except StepFailed as failure:
            return False, str(failure)
        is_stable = trio.current_time() - healthy_at > STABLE
        return is_stable or backend.target.responses > 0, None

    async def _report_until_dead(self, backend: "Backend") -> None:
        """Report the backend while it is unhealthy, until it ends.

        Raises `StepFailed` when another program takes its connections.
        """
        site = self._site
        async with trio.open_nursery() as nursery:

            async def report() -> None:
                while True:
                    reason = await until_unhealthy(
                        backend.target,
                        lambda: site.settings,
                        site.pool.forget,
                        backend.probe_log_filter,
                    )
                    site.report_unhealthy(reason)
                    await trio.sleep(REMINDER_INTERVAL)

            nursery.start_soon(report)
            conflict = await backend.until_lost(lambda: site.settings.health.interval)
            nursery.cancel_scope.cancel()
        if conflict:
            raise StepFailed(conflict)

    async def _report_conflict(self, address: Endpoint, reason: str, deaths: int) -> None:
        crash = await self._remove(address, reason, deaths)
        self._site.gate.explain("The app cannot start: another program has its port.")
        if self._site.slots.port_conflicts.add(address, reason):
            self._site.report_crash(crash)
        self._settle(address)

    async def _remove(self, address: Endpoint, failure: str | None, deaths: int) -> Crash:
        """Remove a backend that is down; how that came about."""
        slot = self._slot
        assert slot.release is not None
        revision = slot.release.revision
        output: Sequence[str] = ()
        reason = failure or "it did not start"
        if (backend := slot.backend_on(address)) is not None:
            await slot.remove(backend)
            reason, output = failure or f"the app {backend.ending}", backend.output
        slot.crash = Crash(slot.name, address, revision, deaths, reason, output)
        return slot.crash

    def _settle(self, address: Endpoint) -> None:
        self._unsettled.discard(address)
        if not self._unsettled:
            self.settled.set()
