"""One swap: what it works on, how far it is, and the phases that every strategy is made of."""

import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from blue_green.site import probation
from blue_green.site.backend import Backend
from blue_green.site.receipt import Receipt, Result
from blue_green.site.slots import Slot
from blue_green.site.state import Live
from blue_green.site.trigger import Trigger
from blue_green.source import failure, stray_data
from blue_green.source.failure import MachineFault, StepFailed
from blue_green.source.release import Release

if TYPE_CHECKING:
    from blue_green.site.site import Site

logger = logging.getLogger(__name__)

Report = Callable[[dict[str, Any]], None]
"""Called with each phase as it begins and ends, as an object of the control protocol."""


class Swap:
    """One swap: what it works on, how far it is, and the phases that every strategy is made of."""

    def __init__(
        self,
        site: "Site",
        revision: str,
        *,
        retry: bool,
        rebuild: bool,
        trigger: Trigger,
        report: Report,
    ) -> None:
        self.revision = revision
        self.phase = ""
        self.phase_began = self.began = trio.current_time()
        self.candidate: Slot | None = None
        """The slot that is to be live."""
        self.is_past_switch = False
        self.is_superseded = False
        """It is called off, now or as soon as its migration has ended."""
        self.is_migrating = False
        self.may_be_retried = False
        """It failed through no fault of the revision."""
        self.is_refused = False
        """It has failed before anything was done."""
        self.can_go_back = False
        """The old release is still warm."""
        self.site = site
        self.trigger = trigger
        self.settings = site.settings
        """Kept to the end of the swap, whatever a reload changes meanwhile."""
        self.retry = retry
        self.rebuild = rebuild
        """Build it again, also if there is a complete release of it."""
        self.release: Release | None = None
        """The one that is to be live."""
        self._report = report
        self.until_switch = trio.CancelScope()
        self.go_back = trio.Event()
        live = site.slots.live
        self.receipt = Receipt(
            outcome="promoted",
            revision=revision,
            previous=live.release.revision if live and live.release else None,
            asked_by=trigger,
        )

    def supersede(self) -> None:
        """Something else is wanted: call it off, if it has not switched."""
        if not self.is_past_switch:
            self.is_superseded = True
            if not self.is_migrating:
                self.until_switch.cancel()

    def roll_back(self) -> bool:
        """Go back to the old release if it is still warm, and say whether it is."""
        if self.can_go_back:
            self.go_back.set()
        return self.can_go_back

    async def start(self, candidate: Slot, release: Release) -> None:
        """Start it, and wait until it is healthy and warm; raise `StepFailed`."""
        with self.timed("" if candidate.backends else "start"):
            if not candidate.backends:
                candidate.start(release)
        with self.timed("probe"):
            await probation.all_pass(
                probation.until_healthy, candidate.backends, self.settings.health
            )
        with self.timed("warm up" if self.settings.health.warmup else ""):
            await probation.all_pass(probation.warm_up, candidate.backends, self.settings.health)

    async def switch(self, candidate: Slot, old: Slot | None) -> int:
        """Make the candidate live; how many requests the old one still has in flight."""
        await trio.lowlevel.checkpoint_if_cancelled()
        with self.timed("switch"):
            self.is_past_switch = True
            self.site.slots.go_live(candidate)
        return in_flight_of(old) if old else 0

    async def migrate(self, release: Release) -> None:
        """Run `migrate`, unless the data has seen this revision, or a descendant of it.

        Once begun it is carried through, also if something else is wanted meanwhile: half a
        migration may be worse than none, and than all of it.
        """
        state = self.site.state
        done = [*state.migrated, *([state.live.revision] if state.live else [])]
        if not await self.site.releases.needs_migration(self.revision, done):
            return
        await trio.lowlevel.checkpoint_if_cancelled()
        self.is_migrating = True
        try:
            with self.timed("migrate"):
                await self.site.releases.migrate(release)
        finally:
            self.is_migrating = False
        state.note_migrated(self.revision)
        self.site.state_file.change()
        if self.is_superseded:
            self.until_switch.cancel()
        found = await self.site.releases.stray_data_in(release.path)
        if found and found.names:
            self.receipt.warning = stray_data.early(found)

    @asynccontextmanager
    async def starting(
        self, slot: Slot, release: Release, *, is_warm: bool = False
    ) -> AsyncIterator[Slot]:
        """The slot in which a release starts. Unless it went live, nothing is left of it."""
        self.candidate = slot
        if not is_warm:
            slot.take(release, self.settings)
        try:
            yield slot
        finally:
            self.candidate = None
            if self.site.slots.live is not slot:
                await slot.stop()

    async def promote(self, candidate: Slot) -> Result:
        """It has proved itself: from now on it is kept, and is what a restart begins with."""
        candidate.supervise()
        state, previous = self.site.state, self.receipt.previous
        state.live = Live(candidate.name, self.revision)
        if previous != self.revision:
            state.previous = previous
        state.quarantine.pop(self.revision, None)
        assert candidate.release is not None
        self.site.state_file.change()  # The old one may take its time to end: do not wait for it.
        await self.site.releases.note_promoted(candidate.release)
        return "promoted"

    def reverted(self, trouble: str, output: Sequence[str]) -> Result:
        """After a rollback, another one goes forward again. Otherwise the revision is to blame."""
        state = self.site.state
        if self.go_back.is_set():
            state.previous = self.revision
        elif self.receipt.previous != self.revision:
            state.put_in_quarantine(self.revision, trouble)
            self.receipt.output = output
        return self.end("reverted", trouble)

    async def failed(self, why: StepFailed) -> Result:
        """Quarantine is for a revision that is to blame."""
        judge = partial(failure.judged, why, self.site.releases.places)
        why = await trio.to_thread.run_sync(judge, abandon_on_cancel=True)
        self.receipt.output = why.output
        if self.revision != self.receipt.previous:
            if isinstance(why, MachineFault):
                self.may_be_retried = True
            else:
                self.site.state.put_in_quarantine(self.revision, str(why))
        return self.end("failed", str(why))

    def end(self, outcome: Result, reason: str) -> Result:
        self.receipt.reason = reason
        return outcome

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """Report a phase, and how long it took. One without a name has nothing to do."""
        if not phase:
            yield
            return
        self.phase = phase
        self.phase_began = began = trio.current_time()
        self._report({"event": "phase", "phase": phase, "revision": self.revision})
        try:
            yield
        finally:
            seconds = trio.current_time() - began
            self.receipt.seconds[phase] = seconds
            done = {"event": "done", "phase": phase, "revision": self.revision}
            self._report({**done, "seconds": round(seconds, 4)})


def output_of(backends: Sequence[Backend]) -> Sequence[str]:
    return [line for backend in backends for line in backend.output]


def in_flight_of(slot: Slot) -> int:
    return sum(target.in_flight for target in slot.targets)
