"""The blue and the green slot: fixed ports each, and the backends of one release.

A slot that is live is *kept*: what dies is started again, at once and then with growing delays,
and requests wait meanwhile. A candidate and a draining slot are not kept: there a death is the
swap's business.
"""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal

import trio

from blue_green import health
from blue_green.backend import Backend
from blue_green.failure import StepFailed
from blue_green.gate import Gate
from blue_green.lease import Target
from blue_green.release import Release
from blue_green.settings import Settings
from blue_green.users import User

logger = logging.getLogger(__name__)

FIRST_DELAY = 0.5
LONGEST_DELAY = 30.0
STABLE = 10.0
"""Seconds of life after which a death is a first death again."""
TOO_MANY_DEATHS = 5
"""Deaths in a row after which requests are refused at once instead of waiting."""
REMIND = 60.0
"""Seconds until a backend that is still unwell is reported again."""


def restart_delay(deaths: int) -> float:
    """Seconds to wait before starting again what has died so often in a row."""
    return 0.0 if deaths <= 1 else min(FIRST_DELAY * 2 ** (deaths - 2), LONGEST_DELAY)


class Slot:
    """`blue` or `green`."""

    def __init__(self, name: Literal["blue", "green"], ports: Sequence[int], site: "Slots") -> None:
        self.name = name
        self.ports = ports
        self.release: Release | None = None
        self.since: datetime | None = None
        """When it became live."""
        self.restarts = 0
        """How often a backend of it was started again while it was kept."""
        self.settled = trio.Event()
        """Since it is kept, each backend has been brought up or has failed to come up once."""
        self._backends: dict[int, Backend] = {}
        self._site = site
        self._keeping: trio.CancelScope | None = None

    @property
    def targets(self) -> list[Target]:
        return [backend.target for backend in self.backends]

    @property
    def backends(self) -> list[Backend]:
        return list(self._backends.values())

    @property
    def output(self) -> Sequence[str]:
        """The last lines that its backends wrote."""
        return [line for backend in self.backends for line in backend.output]

    def start(self, release: Release) -> None:
        """Start a backend on each port; raise `StepFailed`. To be stopped, also after that."""
        self.release = release
        for port in self.ports:
            self._start_one(port)

    async def until_healthy(self) -> None:
        """Wait for all backends; raise `StepFailed` when one ends, or takes too long."""
        failures: list[StepFailed] = []
        async with trio.open_nursery() as nursery:

            async def wait(backend: Backend) -> None:
                try:
                    await self._until_healthy(backend)
                except StepFailed as failure:
                    failures.append(failure)
                    nursery.cancel_scope.cancel()

            for backend in self.backends:
                nursery.start_soon(wait, backend)
        if failures:
            raise failures[0]

    async def trouble(self) -> str:
        """Wait until a backend ends, or fails its probes; say which way."""
        found: list[str] = []
        async with trio.open_nursery() as nursery:

            async def watch(backend: Backend) -> None:
                found.append(await self._trouble_of(backend))
                nursery.cancel_scope.cancel()

            for backend in self.backends:
                nursery.start_soon(watch, backend)
        return found[0]

    async def stop(self) -> None:
        """End all backends. Nothing may be able to choose them any more."""
        self.stop_keeping()
        with trio.CancelScope(shield=True):  # Each stop has a time limit of its own.
            async with trio.open_nursery() as nursery:
                for backend in self.backends:
                    self._site.forget([backend.target])
                    nursery.start_soon(backend.stop)
        self._backends.clear()
        self._site.changed()

    def keep(self) -> None:
        """From now on, start again what dies."""
        if self._keeping is not None:
            return
        self._keeping = trio.CancelScope()
        self.settled = trio.Event()
        self._site.nursery.start_soon(self._keep_all, self._keeping, self.settled)

    def stop_keeping(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            self._keeping = None

    async def _keep_all(self, scope: trio.CancelScope, settled: trio.Event) -> None:
        unsettled = set(self.ports)

        def settle(port: int) -> None:
            unsettled.discard(port)
            if not unsettled:
                settled.set()

        with scope:
            async with trio.open_nursery() as nursery:
                for port in self.ports:
                    nursery.start_soon(self._keep_one, port, settle)

    async def _keep_one(self, port: int, settle: Callable[[int], None]) -> None:
        gate, deaths = self._site.gate, 0
        while True:
            why = None
            healthy_at = math.inf
            try:
                if port not in self._backends:
                    await self._until_healthy(self._start_one(port))
                backend = self._backends[port]
                if backend.target not in gate.targets:
                    gate.admit(backend.target)
                gate.stop_refusing()
                settle(port)
                healthy_at = trio.current_time()
                await self._report_until_dead(backend)
            except StepFailed as failure:
                why = str(failure)
            deaths = 1 if trio.current_time() - healthy_at > STABLE else deaths + 1
            if deaths >= TOO_MANY_DEATHS:
                gate.refuse("The site is down: it keeps failing to start.")
            why = await self._clear_away(port, why)
            delay = restart_delay(deaths)
            logger.error("the live backend on port %d is down: %s", port, why)
            logger.info("it is started again%s", f" in {delay:g} s" if delay else "")
            settle(port)
            await trio.sleep(delay)
            self.restarts += 1

    async def _clear_away(self, port: int, why: str | None) -> str:
        """Take a backend out that is of no use any more, and say why it was."""
        if port not in self._backends:
            return why or "it did not start"
        backend = self._backends[port]
        self._site.gate.withdraw(backend.target)
        self._site.forget([backend.target])
        await backend.stop()
        if self._backends.get(port) is backend:
            del self._backends[port]
        self._site.changed()
        return why or f"the app {backend.ending}"

    async def _report_until_dead(self, backend: Backend) -> None:
        """Wait until the backend ends; report it as long as it is unwell."""
        async with trio.open_nursery() as nursery:

            async def report() -> None:
                while True:
                    why = await self._until_unwell(backend)
                    self._site.report_unwell(why)
                    await trio.sleep(REMIND)

            nursery.start_soon(report)
            await backend.process.exited.wait()
            nursery.cancel_scope.cancel()

    def _start_one(self, port: int) -> Backend:
        assert self.release is not None
        settings = self._site.settings
        backend = Backend.start(
            settings.app,
            slot=self.name,
            port=port,
            release=self.release,
            user=self._site.user,
            env=self._site.env,
        )
        self._backends[port] = backend
        self._site.nursery.start_soon(backend.attend)
        self._site.changed()
        return backend

    async def _until_healthy(self, backend: Backend) -> None:
        """Nobody waits for a time limit to learn that a process is dead."""
        failure: StepFailed | None = None
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                await backend.process.exited.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(watch)
            target = backend.target
            try:
                await health.until_healthy(target.host, target.port, self._site.settings.health)
            except StepFailed as late:
                failure = late
            nursery.cancel_scope.cancel()
        if not backend.is_alive:
            await backend.process.gone.wait()
            raise StepFailed(f"the app {backend.ending} before it was healthy", backend.output)
        if failure:
            raise StepFailed(str(failure), backend.output)

    async def _trouble_of(self, backend: Backend) -> str:
        why = ""
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                nonlocal why
                why = await self._until_unwell(backend)
                nursery.cancel_scope.cancel()

            nursery.start_soon(watch)
            await backend.process.exited.wait()
            nursery.cancel_scope.cancel()
        return why or f"the app {backend.ending}"

    async def _until_unwell(self, backend: Backend) -> str:
        target = backend.target
        return await health.until_unwell(target.host, target.port, self._site.settings.health)


class Slots:
    """Both slots, which of them is live, and what they need of the rest."""

    def __init__(
        self,
        settings: Settings,
        gate: Gate,
        *,
        user: User,
        env: Mapping[str, str],
        nursery: trio.Nursery,
        forget: Callable[[Sequence[Target]], None],
        changed: Callable[[], None],
        report_unwell: Callable[[str], None],
    ) -> None:
        self.settings = settings
        self.gate = gate
        self.user = user
        self.env = env
        self.nursery = nursery
        """Where the backends' tasks live, longer than the swap that started them."""
        self.forget = forget
        """Close the idle connections to these targets."""
        self.changed = changed
        """A backend was started or has ended."""
        self.report_unwell = report_unwell
        """The live backends fail their probes."""
        blue, green = settings.app.ports
        self.blue = Slot("blue", blue, self)
        self.green = Slot("green", green, self)
        self.live: Slot | None = None

    @property
    def idle(self) -> Slot:
        """The one that is not live."""
        return self.green if self.live is self.blue else self.blue

    def by_name(self, name: str) -> Slot:
        return self.green if name == "green" else self.blue

    def go_live(self, slot: Slot) -> None:
        """From now on this slot, and only this, gets new requests."""
        if self.live is not None:
            self.live.stop_keeping()
        self.live = slot
        slot.since = datetime.now(UTC)
        self.gate.switch(slot.targets)
        self.gate.stop_refusing()
        self.changed()

    async def stop(self) -> None:
        """End everything."""
        self.gate.switch(())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.blue.stop)
            nursery.start_soon(self.green.stop)
