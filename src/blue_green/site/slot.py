"""One slot, blue or green: its addresses, and the backends of the release that runs on them."""

import logging
import math
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import trio

from blue_green.config.kinds import Endpoint
from blue_green.config.settings import SiteSettings
from blue_green.routing.lease import Target
from blue_green.routing.recent_results import RecentResults
from blue_green.routing.results import Results
from blue_green.site import addresses, handed_results, probation
from blue_green.site.backend import Backend
from blue_green.site.crash import Crash
from blue_green.site.draining import stop_with_streams
from blue_green.site.supervision import Supervision
from blue_green.source import launch
from blue_green.source.launch import Launch
from blue_green.source.release import Release
from blue_green.system.handover import HandedRelease
from blue_green.system.process import Process

if TYPE_CHECKING:
    from blue_green.site.site import Site

logger = logging.getLogger(__name__)

STREAM_GRACE = 2.0
"""Seconds after its stop signal in which an app may end its streams itself."""


class Slot:
    """`blue` or `green`."""

    def __init__(self, name: Literal["blue", "green"], site: "Site") -> None:
        self.name = name
        self.settings = site.settings
        """The settings that its release was started with. Restarts use them, too."""
        self.addresses = addresses.named(self.settings.app, name)
        """One for each backend."""
        self.is_static = False
        """Its release serves files, and has no backends."""
        self.release: Release | None = None
        self.results = Results()
        """Those of its release since that was started, whatever happened to its backends."""
        self.recent = RecentResults(self.results)
        self.since: datetime | None = None
        """When it became live."""
        self.restarts = 0
        """How often a backend was restarted while the slot was supervised."""
        self.crash: Crash | None = None
        """The last crash, until the backend is up again."""
        self._backends: dict[Endpoint, Backend] = {}
        self._site = site
        self._supervision: Supervision | None = None
        self._stopping = trio.Lock()

    @property
    def ports(self) -> list[int]:
        return addresses.ports_in(self.addresses)

    @property
    def sockets(self) -> list[str]:
        """The paths of its Unix sockets."""
        return addresses.sockets_in(self.addresses)

    @property
    def targets(self) -> list[Target]:
        return [backend.target for backend in self.backends]

    @property
    def backends(self) -> list[Backend]:
        return list(self._backends.values())

    @property
    def open_targets(self) -> list[Target]:
        """Where requests may go now. With a static site they pass the gate, too."""
        if self.is_static and self.release is not None:
            return [Target(Endpoint(), self.name, self.release.revision)]
        return [backend.target for backend in self.backends if backend.is_up]

    @property
    def runs_nothing(self) -> bool:
        """It can neither fail nor keep anything waiting."""
        return self.is_static and not self.settings.processes

    @property
    def is_in_use(self) -> bool:
        """Whether it has backends, or will start them again."""
        is_asleep = self is self._site.slots.live and not self._site.sleep.is_awake
        return bool(self._backends) or self._supervision is not None or is_asleep

    def backend_on(self, address: Endpoint) -> Backend | None:
        return self._backends.get(address)

    async def assign(self, release: Release, settings: SiteSettings) -> None:
        """Give the slot a release and its settings; raise `MachineFault`. Nothing may run here."""
        self.release = release
        self.since = None
        self._count_in(Results())
        self.settings = settings
        self.crash = None
        self.is_static = settings.is_static
        await self.choose_addresses()

    async def choose_addresses(self) -> None:
        """Choose the addresses for the settings; raise `MachineFault`. Nothing may run here.

        They are the same as before, unless another program has taken a port that we had found. New
        ports that the other slot still uses are not taken yet: the slot keeps its own until a later
        swap.
        """
        other = self._site.slots.other(self)
        found = await addresses.of_slot(self._site, self.name, self.settings)
        if other.is_in_use and not set(found).isdisjoint(other.addresses):
            logger.warning(
                "%s still uses ports %s: %s keeps its own until a later swap",
                other.name, other.ports, self.name,
            )  # fmt: skip
        else:
            self.addresses = found

    def take_over(self, handed: HandedRelease) -> None:
        """Take over running backends from the program that ran in this process before."""
        self.release = Release(handed.revision, Path(handed.path))
        self._count_in(handed_results.take_over(handed.results))
        self.since = datetime.fromisoformat(handed.since) if handed.since else None
        self.addresses = addresses.of_handed(handed)
        self.is_static = not self.addresses
        for each in handed.backends:
            target = self._target(addresses.of_handed_backend(each), handed.revision)
            process = Process(each.pid, each.pidfd, each.outputs, each.mark)
            app, site = self.settings.app, self._site
            self._run_backend(Backend(process, target, app, site.output, site.user))

    async def start(self, release: Release) -> None:
        """Start a backend on each address; raise `StepFailed`. Call `stop` even then."""
        self.release = release
        how = await self.prepare_start()
        for address in self.addresses:
            self._start_backend(address, release, how)

    async def start_backend(self, address: Endpoint) -> Backend:
        """Start a backend of the release on this address; raise `StepFailed`."""
        how = await self.prepare_start()
        assert self.release is not None
        return self._start_backend(address, self.release, how)

    async def prepare_start(self) -> Launch:
        """How any program of the release is started now; raise `StepFailed`.

        After a cancellation it does not return, so that nothing starts once the slot is stopping.
        """
        assert self.release is not None
        site = self._site
        how = await launch.prepare(
            self.release, self.settings, owner=site.git.owner, user=site.user
        )
        await trio.lowlevel.checkpoint_if_cancelled()
        return how

    def _start_backend(self, address: Endpoint, release: Release, how: Launch) -> Backend:
        target = self._target(address, release.revision)
        backend = Backend.start(self.settings.app, release, target, how, self._site.output)
        self._run_backend(backend)
        return backend

    async def first_failure(self, settings: SiteSettings, patience: float = math.inf) -> str:
        """Wait until a backend ends or is unhealthy; which of the two, in words.

        `patience` is as in `until_unhealthy`.
        """
        forget = self._site.pool.forget
        return await probation.first_failure(self.backends, settings, forget, patience)

    async def remove(self, backend: Backend) -> None:
        """Stop one backend, which gets no new requests from now on."""
        self._site.gate.withdraw(backend.target)
        self._site.pool.forget([backend.target])
        await backend.stop()
        if self._backends.get(backend.target.address) is backend:
            del self._backends[backend.target.address]
        self._site.state_file.change()

    async def stop(self) -> None:
        """Stop all backends. The gate must not be able to choose them any more."""
        self.stop_supervising()
        with trio.CancelScope(shield=True):  # Each stop has a time limit of its own.
            async with self._stopping:  # Some apps exit at once on a second signal.
                self._site.pool.forget(self.targets)
                grace = min(STREAM_GRACE, self.settings.app.stop_timeout)
                await stop_with_streams(self.targets, self._stop_all, grace=grace)
                self._backends.clear()
        self._site.state_file.change()

    async def _stop_all(self) -> None:
        async with trio.open_nursery() as nursery:
            for backend in self.backends:
                nursery.start_soon(backend.stop)

    def supervise(self) -> None:
        """Restart backends and processes that die, from now on."""
        if self._supervision is None:
            self._supervision = Supervision(self, self._site)
            self._site.slots.start_soon(self._supervision.run)
        self._site.processes.supervise()

    def stop_supervising(self) -> None:
        if self._supervision is not None:
            self._supervision.cancel()
            self._supervision = None

    async def until_settled(self) -> None:
        """Wait until each supervised backend has come up, or failed to, at least once."""
        if self._supervision is not None:
            await self._supervision.settled.wait()

    def _count_in(self, results: Results) -> None:
        self.results, self.recent = results, RecentResults(results)

    def _target(self, address: Endpoint, revision: str) -> Target:
        owner = self._site.user.uid
        return Target(address, self.name, revision, owner=owner, results=self.results)

    def _run_backend(self, backend: Backend) -> None:
        self._backends[backend.target.address] = backend
        self._site.slots.start_soon(backend.run)
        self._site.state_file.change()
