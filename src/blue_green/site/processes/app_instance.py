"""One instance of a process, from the switch that starts it to the one that stops it."""

import logging
from typing import TYPE_CHECKING

import trio

from blue_green.config.app_process_settings import AppProcessSettings
from blue_green.config.kinds import Argv
from blue_green.site.crash import SHORTEST_LIFE, STABLE, Crash
from blue_green.site.processes.app_process import AppProcess, StopSettings, source_of
from blue_green.site.processes.generation import Generation
from blue_green.site.processes.run_on_time import RunOnTime
from blue_green.source import launch
from blue_green.source.failure import StepFailed

if TYPE_CHECKING:
    from blue_green.site.site import Site

logger = logging.getLogger(__name__)


class AppInstance:
    """Instance `number` of a process in one generation, and the process tree that it is now."""

    def __init__(
        self,
        site: "Site",
        generation: Generation,
        name: str,
        number: int,
        process: AppProcess | None = None,
    ) -> None:
        """`process` already runs: it was handed over by an upgrade in place."""
        self.generation = generation
        self.name = name
        self.number = number
        self.settings = generation.settings.processes.get(name) or AppProcessSettings(Argv(()))
        """Defaults, for a process that is being stopped since they do not name it any more."""
        self.process = process
        """The running process tree; None while there is none."""
        self.started_at = trio.current_time() if process else None
        """When it was started for the first time, on trio's clock."""
        self.deaths = 0
        """Consecutive deaths after a short life."""
        self.restarts = 0
        self.is_stopping = False
        self._site = site
        self._scope = trio.CancelScope()
        self._programs: trio.Nursery | None = None
        """The owner of the tasks of its process trees."""

    @property
    def is_exclusive(self) -> bool:
        """Whether it must not run while an older instance of its name does."""
        return self.settings.handover == "exclusive" or not self.always_runs

    @property
    def always_runs(self) -> bool:
        """Whether it runs all the time, and not on a schedule."""
        return self.settings.schedule is None

    @property
    def source(self) -> str:
        """Its name in the log."""
        return source_of(self.name, self.number, self.settings)

    def stop(self, *, may_finish: bool = False) -> None:
        """Stop the process, and start it no more.

        `may_finish`: the run of a schedule gets `stop_timeout` to end by itself before it is told
        to stop. A program that is written to end by itself seldom handles signals.
        """
        if not (may_finish and not self.always_runs and self.process is not None):
            self.stop_in(0.0)
        elif not self.is_stopping:
            self.stop_in(self._stop_timeout)

    def stop_in(self, seconds: float) -> None:
        """Stop the process after so many seconds, unless it ends by itself; start it no more."""
        self.is_stopping = True
        self._scope.deadline = trio.current_time() + seconds
        if not seconds:
            self._scope.cancel()

    @property
    def stopped_in(self) -> float | None:
        """Seconds until it is stopped, if it is to be stopped."""
        left = max(0.0, self._scope.deadline - trio.current_time())
        return left if self.is_stopping else None

    async def run(self) -> None:
        """Start the process again whenever it ends, until `stop`; then nothing of it is left."""
        async with trio.open_nursery() as self._programs:
            if self.process is not None:
                self._programs.start_soon(self.process.run)
            try:
                with self._scope:
                    await self._start_when_due()
            finally:
                if self.process is not None:
                    await self.process.stop()

    async def _start_when_due(self) -> None:
        if not self.always_runs:
            await RunOnTime(self, self._site).run()
            return
        if self.is_exclusive and self.process is None:
            await self._site.processes.until_stopped(self.name)
        await self._supervise()

    async def run_once(self) -> AppProcess:
        """Start the process unless it runs, and wait until it has ended; raise `StepFailed`."""
        if self.process is None:
            if self._site.is_stopping:
                await trio.sleep_forever()  # Nothing is started any more.
            await self._start()
        assert self.process is not None
        process = self.process
        await process.gone.wait()
        self.process = None
        return process

    async def _start(self) -> None:
        site, generation = self._site, self.generation
        try:
            how = await launch.prepare(
                generation.release, generation.settings, owner=site.git.owner, user=site.user
            )
        except StepFailed as failure:
            raise type(failure)(f"process {self.source}: {failure}") from None
        await trio.lowlevel.checkpoint_if_cancelled()
        self.process = AppProcess.start(generation, self.name, self.number, how, site.output)
        assert self._programs is not None
        self._programs.start_soon(self.process.run)
        site.processes.note_start(self)

    @property
    def _stop_timeout(self) -> float:
        return StopSettings.of(self.settings, self.generation.settings.app).timeout

    async def _supervise(self) -> None:
        while True:
            began = trio.current_time()
            failure = await self._failure()
            lived = trio.current_time() - began
            self.deaths = 1 if lived > STABLE else self.deaths + 1
            if not self.generation.supervised.is_set():
                self.generation.fail(failure)
                await self.generation.supervised.wait()
            crash = self._crash(failure)
            logger.error("%s", failure)
            logger.info("restarting it%s", f" in {crash.delay:g} s" if crash.delay else "")
            self._site.report_crash(crash)
            await trio.sleep(crash.delay)
            await trio.sleep_until(began + SHORTEST_LIFE)
            await self.generation.restart_pace.wait(self.name)
            self.restarts += 1

    async def _failure(self) -> StepFailed:
        """Run the process until it ends, or fails to start; how that came about."""
        try:
            ended = await self.run_once()
        except StepFailed as failure:
            return failure
        return StepFailed(f"process {self.source} {ended.ending}", ended.output)

    def _crash(self, failure: StepFailed) -> Crash:
        generation = self.generation
        return Crash(
            generation.slot,
            None,
            generation.release.revision,
            self.deaths,
            str(failure),
            failure.output,
            process=self.source,
        )
