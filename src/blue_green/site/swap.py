"""One swap: its subject, its progress, and the phases that all strategies share."""

import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from blue_green.config.command_line import command_line
from blue_green.site import probation
from blue_green.site.backend import Backend
from blue_green.site.deploy_request import DeployRequest
from blue_green.site.receipt import Receipt, Result
from blue_green.site.rollback import CANARY_ROLLED_BACK
from blue_green.site.slot import Slot
from blue_green.site.state import Live
from blue_green.site.trial_plan import TrialKind, TrialPlan, plan_of
from blue_green.source import failure, stray_text
from blue_green.source.failure import MachineFault, StepFailed
from blue_green.source.release import Release
from blue_green.system import threads

if TYPE_CHECKING:
    from blue_green.site.candidate_trial import CandidateTrial
    from blue_green.site.site import Site

logger = logging.getLogger(__name__)

OUTPUT_TIMEOUT = 1.0
"""Seconds to wait for the last output of a release that has died."""
SUPERSEDED = "another deploy was requested"

Report = Callable[[dict[str, Any]], None]
"""Called when a phase begins and when it ends, with an object of the control protocol."""


class Swap:
    """One swap: its subject, its progress, and the phases that all strategies share."""

    def __init__(self, site: "Site", request: DeployRequest, report: Report) -> None:
        self.site = site
        self.settings = site.settings
        """The settings at the start of the swap: a reload does not change them."""
        self.revision = request.revision
        self.trigger = request.trigger
        self.retry = request.retry
        self.rebuild = request.rebuild
        self.release: Release | None = None
        """The new release, once it is prepared."""
        self.candidate: Slot | None = None
        """The slot in which the new release starts."""
        self.asked_plan = request.plan
        """The trial that somebody asked for, if it is not that of the settings."""
        self.plan = plan_of(request.plan, request.trigger, site.settings)
        """The trial before the switch, if there is to be one."""
        self.trial: CandidateTrial | None = None
        """The trial, while it goes on."""
        self.phase = ""
        self.phase_began = self.began = trio.current_time()
        self.is_past_switch = False
        self.is_superseded = False
        """It is cancelled, now or as soon as its migration has ended."""
        self.why_superseded = SUPERSEDED
        self.is_aborted = False
        """Somebody ended it before its switch."""
        self.is_migrating = False
        self.may_be_retried = False
        """It failed through no fault of the revision."""
        self.is_refused = False
        """It failed before anything was done."""
        self.can_roll_back = False
        """The old release is still warm."""
        self.keeps_processes = False
        """Processes go on: only the backends are replaced, and nothing changes for processes."""
        self.rollback_requested = trio.Event()
        self.newer_requested = trio.Event()
        """Another deploy waits for this one to end."""
        self.until_switch = trio.CancelScope()
        self._report = report
        self.receipt = Receipt(
            outcome="promoted",
            revision=request.revision,
            previous=site.slots.live_revision,
            asked_by=request.trigger,
        )

    def supersede(self, why: str = SUPERSEDED) -> None:
        """Cancel the swap, usually for a newer request, if it has not switched yet."""
        if not self.is_past_switch and not self.is_superseded:
            self.is_superseded, self.why_superseded = True, why
            if not self.is_migrating:
                self.until_switch.cancel()

    def abort(self, why: str) -> bool:
        """End the swap if it has not switched yet; whether it has not."""
        if self.trial is not None:
            self.trial.abort(why)
        elif not self.is_past_switch:
            self.supersede(why)
            self.is_aborted = True
        return not self.is_past_switch

    @property
    def is_for_preview(self) -> bool:
        """It goes no further than a preview, unless somebody promotes that."""
        return self.plan is not None and self.plan.kind is TrialKind.PREVIEW

    def command(self, *options: str) -> str:
        """The command that requests this swap again."""
        asked = self.asked_plan.options if self.asked_plan else ()
        short = self.revision[:7]
        rebuild = ("--rebuild",) if self.rebuild else ()
        return command_line("swap", self.site.label, *options, *rebuild, short, *asked)

    def follow(self, plan: TrialPlan | None) -> bool:
        """Use this plan, if that is possible without a new swap; whether it is."""
        if plan is None:
            return not self.is_for_preview
        if self.trial is None:
            if not self.is_past_switch:
                self.asked_plan = plan
                self.plan = plan_of(plan, self.trigger, self.settings)
            return not self.is_past_switch
        if plan.kind is not self.trial.plan.kind:
            return False
        self.trial.change(plan)
        return True

    def roll_back(self) -> bool:
        """Stay with the old release in a canary, or go back to it while it is warm; whether it is.

        A canary begins with its build. A preview says nothing about the live release.
        """
        is_canary = self.plan is not None and self.plan.kind is TrialKind.CANARY
        if is_canary and self.abort(CANARY_ROLLED_BACK):
            return True
        if self.can_roll_back:
            self.rollback_requested.set()
        return self.can_roll_back

    async def start(self, candidate: Slot, release: Release) -> None:
        """Start the release, and wait until it is healthy and warm; raise `StepFailed`."""
        if candidate.is_static:
            return
        with self.timed("" if candidate.backends else "start"):
            if not candidate.backends:
                await candidate.start(release)
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
            self.site.slots.go_live(candidate, keeps_processes=self.keeps_processes)
        return in_flight_of(old) if old else 0

    async def migrate(self, release: Release) -> None:
        """Run `migrate`, unless the data was migrated to this revision or a descendant of it.

        Once begun it is carried through, even if the swap is superseded: half a migration may be
        worse than a whole one or none.
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
            self.receipt.warning = stray_text.early(found, self.site.label)

    @asynccontextmanager
    async def starting(
        self, slot: Slot, release: Release, *, is_warm: bool = False
    ) -> AsyncIterator[Slot]:
        """The slot in which a release starts; it is stopped at the end unless it went live."""
        self.candidate = slot
        try:
            if not is_warm:
                await slot.assign(release, self.settings)
            yield slot
        finally:
            self.candidate = None
            if slot not in (self.site.slots.live, self.site.retirement.slot):
                await slot.stop()

    async def promote(self, candidate: Slot) -> Result:
        """Supervise the new release from now on, and remember it as the live one."""
        candidate.supervise()
        state, previous = self.site.state, self.receipt.previous
        state.live = Live(candidate.name, self.revision)
        if previous != self.revision:
            state.previous = previous
        state.quarantine.pop(self.revision, None)
        assert candidate.release is not None
        self.site.state_file.change()  # Do not wait for the old release to end.
        await self.site.releases.note_promoted(candidate.release)
        return "promoted"

    async def reverted(self, error: StepFailed) -> Result:
        """End a swap after which the old release is live again.

        If a rollback was requested, another rollback deploys the revision again.
        """
        if self.rollback_requested.is_set():
            self.site.state.previous = self.revision
        else:
            error = await self._blame(error)
        return self.end("reverted", str(error))

    async def failed(self, error: StepFailed) -> Result:
        """End a swap that failed."""
        return self.end("failed", str(await self._blame(error)))

    async def _blame(self, error: StepFailed) -> StepFailed:
        """Put the revision in quarantine if it is to blame; else it is tried again. Its error."""
        classify = partial(failure.classify, error, self.site.releases.written_directories)
        error = await threads.run(classify, abandon_on_cancel=True)
        self.receipt.output = error.output
        if self.revision != self.receipt.previous:
            if isinstance(error, MachineFault):
                self.may_be_retried = True
            else:
                self.site.state.put_in_quarantine(self.revision, str(error))
        return error

    def end(self, outcome: Result, reason: str) -> Result:
        self.receipt.reason = reason
        return outcome

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """Report a phase and how long it took. A phase without a name is not reported."""
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
            self.receipt.seconds[phase] = self.receipt.seconds.get(phase, 0.0) + seconds
            done = {"event": "done", "phase": phase, "revision": self.revision}
            self._report({**done, "seconds": round(seconds, 4)})


async def last_output_of(backends: Sequence[Backend]) -> Sequence[str]:
    """Their output, with the last lines of those that have died."""
    with trio.move_on_after(OUTPUT_TIMEOUT):
        for backend in backends:
            if not backend.is_alive:
                await backend.process.gone.wait()
    return output_of(backends)


def output_of(backends: Sequence[Backend]) -> Sequence[str]:
    return [line for backend in backends for line in backend.output]


def in_flight_of(slot: Slot) -> int:
    return sum(target.in_flight for target in slot.targets)
