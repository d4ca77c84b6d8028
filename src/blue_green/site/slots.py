"""Both slots of a site, and which of them is live."""

import math
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from blue_green.site.backend import Backend
from blue_green.site.port_conflicts import PortConflicts
from blue_green.site.processes.generation import Generation
from blue_green.site.slot import Slot
from blue_green.system.handover import HandedRelease

if TYPE_CHECKING:
    from blue_green.site.site import Site

NOTE_INTERVAL = 30.0
"""Seconds between two notes of what the recent results of a release are."""


class Slots:
    """The blue and the green slot."""

    def __init__(self, site: "Site") -> None:
        self._site = site
        self._to_start, self._started = trio.open_memory_channel[Callable[[], Awaitable[None]]](
            math.inf
        )
        self.port_conflicts = PortConflicts(site.report_unhealthy)
        self.blue = Slot("blue", site)
        self.green = Slot("green", site)
        self.both = (self.blue, self.green)
        self.live: Slot | None = None

    async def run(self) -> None:
        """Run the tasks of backends, which outlive the swaps that start them."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._note_results)
            async for task in self._started:
                nursery.start_soon(task)

    async def _note_results(self) -> None:
        while True:
            await trio.sleep(NOTE_INTERVAL)
            for slot in self.both:
                slot.recent.note(trio.current_time())

    def start_soon(self, task: Callable[..., Awaitable[None]], *arguments: object) -> None:
        """Run this task in `run`."""
        self._to_start.send_nowait(partial(task, *arguments))

    @property
    def live_revision(self) -> str | None:
        """The revision of the live release; None if nothing is live."""
        live = self.live
        return live.release.revision if live and live.release else None

    @property
    def idle(self) -> Slot:
        """The slot that is not live."""
        return self.green if self.live is self.blue else self.blue

    @property
    def backends(self) -> list[Backend]:
        """The backends of both slots."""
        return [*self.blue.backends, *self.green.backends]

    @property
    def release_paths(self) -> list[Path]:
        """Directories of releases in which something may be running."""
        paths = [slot.release.path for slot in self.both if slot.release]
        site = self._site
        return [*paths, *site.processes.release_paths, *site.exec_sessions.release_paths]

    def other(self, slot: Slot) -> Slot:
        return self.green if slot is self.blue else self.blue

    def by_name(self, name: str) -> Slot:
        return self.green if name == "green" else self.blue

    def go_live(self, slot: Slot, *, keeps_processes: bool = False, asleep: bool = False) -> None:
        """Send all new requests to this slot from now on, and run the processes of its release.

        `keeps_processes`: those that run are of the same release, and go on. `asleep`: nothing runs
        before somebody uses the site.
        """
        self._site.sleep.note_live(asleep=asleep)
        if self.live is not None:
            self.live.stop_supervising()
        self.live = slot
        slot.since = datetime.now(UTC)
        self._site.files.go_live(slot)
        if slot.release is not None:
            self._site.current_link.lead_to(slot.release.path)
        self._site.gate.switch(slot.open_targets)
        self._site.gate.stop_refusing()
        processes = self._site.processes
        if slot.release is not None and not keeps_processes:
            processes.are_asleep = asleep and self._site.sleep.stops_processes
            processes.use(Generation(slot.name, slot.release, slot.settings))
        elif not asleep:
            processes.wake()
        self._site.state_file.change()

    def take_over(self, handed: HandedRelease) -> None:
        """Take over the live release from the program that ran in this process before."""
        slot = self.by_name(handed.slot)
        slot.take_over(handed)
        self._site.processes.take_over(handed.processes)
        since, asleep = slot.since, self._site.sleep.was_asleep
        self.go_live(slot, asleep=asleep)
        slot.since = since
        if asleep:
            self._site.processes.supervise()
        else:
            slot.supervise()

    def kill(self) -> None:
        """Kill all backends and processes, also during a `stop`."""
        for backend in self.backends:
            backend.process.kill()
        self._site.processes.kill()

    async def stop(self) -> None:
        """Stop all backends and processes."""
        self._site.sleep.end()
        self._site.gate.switch(())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._site.processes.stop)
            nursery.start_soon(self.blue.stop)
            nursery.start_soon(self.green.stop)
