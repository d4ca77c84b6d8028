"""The blue and the green slot: ports of its own each, and the backends of one release.

A slot that is live is *kept*: what dies is started again, at once or with growing delays (`crash`),
and requests wait meanwhile (so it is not warmed up first). A candidate and a draining slot are not
kept: there a death is the swap's business.
"""

import logging
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import trio

from blue_green.config.settings import Settings
from blue_green.config.site_settings import HealthSettings
from blue_green.routing.lease import Target
from blue_green.site import probation
from blue_green.site.backend import HOST, Backend
from blue_green.site.crash import SHORTEST_LIFE, STABLE, TOO_MANY_DEATHS, Crash
from blue_green.site.draining import stop_with_streams
from blue_green.site.port_conflicts import TRY_AGAIN, PortConflicts
from blue_green.site.unhealthy import until_unhealthy
from blue_green.source.failure import PortTaken, StepFailed
from blue_green.source.release import Release
from blue_green.system.handover import HandedRelease
from blue_green.system.process import Process, environment

if TYPE_CHECKING:
    from blue_green.site.site import Site

logger = logging.getLogger(__name__)

OWN_END = 2.0
"""Seconds after its stop signal in which an app may end its streams itself."""
REMIND = 60.0
"""Seconds until a backend that is still unwell is reported again."""


class Slot:
    """`blue` or `green`."""

    def __init__(self, name: Literal["blue", "green"], site: "Site", slots: "Slots") -> None:
        self.name = name
        self.settings = site.settings
        """With which its release was started, and is started again until the next one comes."""
        self.ports: Sequence[int] = self._ports_in(self.settings)
        self.release: Release | None = None
        self.since: datetime | None = None
        """When it became live."""
        self.restarts = 0
        """How often a backend of it was started again while it was kept."""
        self.settled = trio.Event()
        """Since it is kept, each backend has been brought up or has failed to come up once."""
        self._backends: dict[int, Backend] = {}
        self._site = site
        self._slots = slots
        self._supervision: trio.CancelScope | None = None
        self._stopping = trio.Lock()
        self._failing_ports: set[int] = set()
        """Ports on which what is kept has died too often."""

    @property
    def targets(self) -> list[Target]:
        return [backend.target for backend in self.backends]

    @property
    def backends(self) -> list[Backend]:
        return list(self._backends.values())

    @property
    def is_in_use(self) -> bool:
        """It has backends, or will start them again."""
        return bool(self._backends) or self._supervision is not None

    def take(self, release: Release, settings: Settings) -> None:
        """From now on this release belongs here, with these settings. Nothing may run here.

        New ports that the other slot still has are not to be had yet: it keeps its own for once.
        """
        self.release = release
        self.settings = settings
        wanted, other = self._ports_in(settings), self._slots.other(self)
        if other.is_in_use and not set(wanted).isdisjoint(other.ports):
            logger.warning(
                "%s still uses ports %s: %s keeps its own until a later swap",
                other.name, list(other.ports), self.name,
            )  # fmt: skip
        else:
            self.ports = wanted

    def take_over(self, handed: HandedRelease, env: Mapping[str, str]) -> None:
        """What the program before us in this process left here, and runs."""
        self.release = Release(handed.revision, Path(handed.path), env)
        self.since = datetime.fromisoformat(handed.since) if handed.since else None
        self.ports = handed.ports
        for left in handed.backends:
            target = Target(HOST, left.port, self.name, handed.revision)
            process = Process(left.pid, left.pidfd, left.outputs, left.mark)
            app, site = self.settings.app, self._site
            self._run_backend(Backend(process, target, app, site.output, site.user))

    def start(self, release: Release) -> None:
        """Start a backend on each port; raise `StepFailed`. To be stopped, also after that."""
        self.release = release
        for port in self.ports:
            self._start_one(port)

    async def first_failure(self, settings: Settings) -> str:
        """Wait until one of its backends ends, or is unhealthy; say which way."""
        return await probation.first_failure(self.backends, settings, self._site.pool.forget)

    async def stop(self) -> None:
        """End all backends. Nothing may be able to choose them any more."""
        self.stop_supervising()
        with trio.CancelScope(shield=True):  # Each stop has a time limit of its own.
            async with self._stopping:  # Some apps take a second signal for an order to hurry.
                self._site.pool.forget(self.targets)
                own_time = min(OWN_END, self.settings.app.stop_timeout)
                await stop_with_streams(self.targets, self._stop_all, own_time=own_time)
                self._backends.clear()
        self._site.state_file.change()

    async def _stop_all(self) -> None:
        async with trio.open_nursery() as nursery:
            for backend in self.backends:
                nursery.start_soon(backend.stop)

    def supervise(self) -> None:
        """From now on, start again what dies."""
        if self._supervision is not None:
            return
        self._supervision = trio.CancelScope()
        self.settled = trio.Event()
        self._failing_ports.clear()
        self._slots.start_soon(self._supervise_all, self._supervision, self.settled)

    def stop_supervising(self) -> None:
        if self._supervision is not None:
            self._supervision.cancel()
            self._supervision = None

    async def _supervise_all(self, scope: trio.CancelScope, settled: trio.Event) -> None:
        unsettled = set(self.ports)

        def settle(port: int) -> None:
            unsettled.discard(port)
            if not unsettled:
                settled.set()

        with scope:
            async with trio.open_nursery() as nursery:
                for port in self.ports:
                    nursery.start_soon(self._supervise_one, port, settle)

    async def _supervise_one(self, port: int, settle: Callable[[int], None]) -> None:
        gate, deaths = self._site.gate, 0
        while True:
            why = None
            has_worked = False
            began = trio.current_time()
            try:
                backend = self._backends.get(port) or self._start_one(port)
                if not backend.is_up:
                    await probation.until_healthy(backend, self._health_now())
                if backend.target not in gate.targets:
                    gate.admit(backend.target)
                gate.stop_refusing()
                self._failing_ports.discard(port)
                self._slots.port_conflicts.forget(port)
                settle(port)
                healthy_at = trio.current_time()
                await self._report_until_dead(backend)
                is_stable = trio.current_time() - healthy_at > STABLE
                has_worked = is_stable or backend.target.answers > 0
            except PortTaken as failure:
                await self._note_taken(port, str(failure), deaths)
                settle(port)
                await trio.sleep(TRY_AGAIN)
                continue
            except StepFailed as failure:
                why = str(failure)
            deaths = 1 if has_worked else deaths + 1
            if deaths >= TOO_MANY_DEATHS:
                self._failing_ports.add(port)
            if self._failing_ports.issuperset(self.ports):
                gate.refuse("The site is down: it keeps failing to start.")
            crash = await self._clear_away(port, why, deaths)
            logger.error("the live backend on port %d is down: %s", port, crash.reason)
            logger.info("it is started again%s", f" in {crash.delay:g} s" if crash.delay else "")
            self._site.report_crash(crash)
            settle(port)
            await trio.sleep(crash.delay)
            await trio.sleep_until(began + SHORTEST_LIFE)
            self.restarts += 1

    async def _note_taken(self, port: int, why: str, deaths: int) -> None:
        crash = await self._clear_away(port, why, deaths)
        self._site.gate.explain("The app cannot start: another program has its port.")
        if self._slots.port_conflicts.note(port, why):
            self._site.report_crash(crash)

    async def _clear_away(self, port: int, why: str | None, deaths: int) -> Crash:
        """Take a backend out that is of no use any more, and say what became of it."""
        assert self.release is not None
        revision = self.release.revision
        if port not in self._backends:
            return Crash(self.name, port, revision, deaths, why or "it did not start")
        backend = self._backends[port]
        self._site.gate.withdraw(backend.target)
        self._site.pool.forget([backend.target])
        await backend.stop()
        if self._backends.get(port) is backend:
            del self._backends[port]
        self._site.state_file.change()
        why = why or f"the app {backend.ending}"
        return Crash(self.name, port, revision, deaths, why, backend.output)

    async def _report_until_dead(self, backend: Backend) -> None:
        """Wait until the backend ends; report it as long as it is unwell.

        Raises `StepFailed` when somebody else takes its connections.
        """
        async with trio.open_nursery() as nursery:
            site = self._site

            async def report() -> None:
                while True:
                    why = await until_unhealthy(
                        backend.target,
                        lambda: site.settings,
                        site.pool.forget,
                        backend.probe_log_filter,
                    )
                    site.report_unhealthy(why)
                    await trio.sleep(REMIND)

            nursery.start_soon(report)
            usurped = await backend.until_lost(lambda: site.settings.health.interval)
            nursery.cancel_scope.cancel()
        if usurped:
            raise StepFailed(usurped)

    def _ports_in(self, settings: Settings) -> Sequence[int]:
        blue, green = settings.app.ports
        return blue if self.name == "blue" else green

    def _start_one(self, port: int) -> Backend:
        assert self.release is not None
        backend = Backend.start(
            self.settings.app,
            slot=self.name,
            port=port,
            release=self.release,
            user=self._site.user,
            env=environment(self.settings),
            output=self._site.output,
        )
        self._run_backend(backend)
        return backend

    def _run_backend(self, backend: Backend) -> None:
        self._backends[backend.target.port] = backend
        self._slots.start_soon(backend.run)
        self._site.state_file.change()

    def _health_now(self) -> HealthSettings:
        """A kept backend is judged by the newest settings, a candidate by those of its swap."""
        return self._site.settings.health


class Slots:
    """Both slots, and which of them is live."""

    def __init__(self, site: "Site") -> None:
        self._site = site
        self._to_start, self._started = trio.open_memory_channel[Callable[[], Awaitable[None]]](
            math.inf
        )
        self.port_conflicts = PortConflicts(site.report_unhealthy)
        self.blue = Slot("blue", site, self)
        self.green = Slot("green", site, self)
        self.both = (self.blue, self.green)
        self.live: Slot | None = None

    async def run(self) -> None:
        """Run the tasks of backends, which live longer than the swaps that start them."""
        async with trio.open_nursery() as nursery:
            async for task in self._started:
                nursery.start_soon(task)

    def start_soon(self, task: Callable[..., Awaitable[None]], *arguments: object) -> None:
        """Have `run` run this, beside all that it runs already."""
        self._to_start.send_nowait(partial(task, *arguments))

    @property
    def idle(self) -> Slot:
        """The one that is not live."""
        return self.green if self.live is self.blue else self.blue

    @property
    def backends(self) -> list[Backend]:
        """Of both."""
        return [*self.blue.backends, *self.green.backends]

    @property
    def places(self) -> list[Path]:
        """Directories of releases in which something may be running."""
        return [slot.release.path for slot in self.both if slot.release]

    def other(self, slot: Slot) -> Slot:
        return self.green if slot is self.blue else self.blue

    def by_name(self, name: str) -> Slot:
        return self.green if name == "green" else self.blue

    def go_live(self, slot: Slot) -> None:
        """From now on this slot, and only this, gets new requests."""
        if self.live is not None:
            self.live.stop_supervising()
        self.live = slot
        slot.since = datetime.now(UTC)
        self._site.gate.switch(backend.target for backend in slot.backends if backend.is_up)
        self._site.gate.stop_refusing()
        self._site.state_file.change()

    def take_over(self, handed: HandedRelease, env: Mapping[str, str]) -> None:
        """Go on with what the program before us in this process left; `env` is the release's."""
        slot = self.by_name(handed.slot)
        slot.take_over(handed, env)
        since = slot.since
        self.go_live(slot)
        slot.since = since
        slot.supervise()

    async def stop(self) -> None:
        """End everything."""
        self._site.gate.switch(())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.blue.stop)
            nursery.start_soon(self.green.stop)
