"""The runs of a process with a schedule: on time, and one at a time.

A run that fails takes no release back and is not repeated. The times that come while one runs are
skipped. After a switch, the run of the release before may finish; the new one waits for that.
"""

import logging
import math
from typing import TYPE_CHECKING

import trio

from blue_green.site.scheduled_run import FailedRun, RunOutcome, ScheduledRun
from blue_green.source.failure import StepFailed
from blue_green.system.local_zone import LOCAL

if TYPE_CHECKING:
    from blue_green.site.processes.app_instance import AppInstance
    from blue_green.site.site import Site

logger = logging.getLogger(__name__)

Ending = tuple[RunOutcome, str, tuple[str, ...]]
"""The outcome of a run, its reason and its last lines of output."""


class RunOnTime:
    """Runs one instance at the times of its schedule."""

    def __init__(self, instance: "AppInstance", site: "Site") -> None:
        schedule = instance.settings.schedule
        assert schedule is not None
        self._schedule = schedule
        self._instance = instance
        self._site = site

    async def run(self) -> None:
        """Run it at each time until cancelled, or until it is to stop and its run has ended."""
        instance = self._instance
        if instance.process is None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._skip)  # The run of the release before may still go on.
                await self._site.processes.until_stopped(instance.name)
                nursery.cancel_scope.cancel()
            if self._record.is_running:
                self._end(("stopped", "the supervisor was stopped", ()))
        while instance.process is not None or not instance.is_stopping:
            if instance.process is None:
                await self._site.schedules.until_due(instance.name, self._schedule)
                if self._site.is_stopping:
                    await trio.sleep_forever()  # Nothing is started any more.
                self._site.schedules.let_pass(instance.name, self._schedule)
                self._begin()
            await self._run_once()

    @property
    def _record(self) -> ScheduledRun:
        return self._site.schedules.record(self._instance.name, self._schedule)

    def _begin(self) -> None:
        revision = self._instance.generation.release.revision
        self._record.begin(revision, self._site.schedules.clock())
        self._site.schedules.note_change()
        logger.info("process %s: started on schedule", self._instance.name)

    async def _run_once(self) -> None:
        """Let one run end, or stop it, and report how it went."""
        ending: Ending = ("stopped", "it was stopped with its release", ())
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._skip)
                ending = await self._ending()
                nursery.cancel_scope.cancel()
        finally:
            if (process := self._instance.process) is not None:
                await process.stop()  # Shielded from cancellation.
                self._instance.process = None
            self._end(ending)

    async def _ending(self) -> Ending:
        """Run it, for as long as it may; how it ended."""
        instance, timeout = self._instance, self._instance.settings.timeout
        try:
            with trio.move_on_after(self._time_left):
                process = await instance.run_once()
                outcome: RunOutcome = "ok" if process.succeeded else "failed"
                return outcome, "" if process.succeeded else process.ending, tuple(process.output)
        except StepFailed as failure:
            return "failed", str(failure), failure.output
        output = tuple(instance.process.output) if instance.process else ()
        return "failed", f"stopped: it took longer than its timeout, {timeout:g} s", output

    @property
    def _time_left(self) -> float:
        """Seconds that the run may still take: it may have begun before an upgrade in place."""
        timeout, began = self._instance.settings.timeout, self._record.began
        if timeout is None or began is None:
            return math.inf
        taken = self._site.schedules.clock().timestamp() - began
        return max(0.0, timeout - max(0.0, taken))

    def _end(self, ending: Ending) -> None:
        outcome, reason, output = ending
        record, name = self._record, self._instance.name
        record.end(outcome, reason, self._site.schedules.clock())
        self._site.schedules.note_change()
        took = f"{record.seconds:.1f} s"
        if outcome == "ok":
            logger.info("process %s: finished in %s", name, took)
        elif outcome == "stopped":
            logger.warning("process %s: its run has not finished: %s", name, reason)
        else:
            logger.error("process %s: its run has failed after %s: %s", name, took, reason)
            self._site.report_failed_run(FailedRun(name, record.revision, reason, output))

    async def _skip(self) -> None:
        """Skip the times that come while a run goes on, until cancelled."""
        name, schedules = self._instance.name, self._site.schedules
        while self._record.is_running:
            due = await schedules.until_due(name, self._schedule)
            if self._record.is_running:
                schedules.let_pass(name, self._schedule)
                logger.warning(
                    "process %s: skipped the run of %s: the one before still runs",
                    name, due.astimezone(LOCAL).strftime("%Y-%m-%d %H:%M"),
                )  # fmt: skip
