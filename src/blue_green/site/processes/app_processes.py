"""The processes of a site: programs of the live release that take no requests.

They start with the switch to their release, and are stopped with the next one. By default the new
instances of a process wait until all older ones of its name have ended, whatever generation these
are of: so a scheduler never runs twice, however many swaps, reverts and restarts follow each other.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from blue_green.config.settings import SiteSettings
from blue_green.site.processes import handed_processes
from blue_green.site.processes.app_instance import AppInstance
from blue_green.site.processes.app_process import AppProcess
from blue_green.site.processes.generation import Generation
from blue_green.source.release import Release
from blue_green.system.handover import HandedProcess

if TYPE_CHECKING:
    from blue_green.site.site import Site


class AppProcesses:
    """What runs beside the backends of a site, and what should."""

    def __init__(self, site: "Site") -> None:
        self.generation: Generation | None = None
        """The generation whose processes should run."""
        self.are_asleep = False
        """Only those with a schedule run: nobody uses the site."""
        self._site = site
        self._instances: list[AppInstance] = []
        """Also those that are stopping."""
        self._handed: dict[tuple[str, int, bool], HandedProcess] = {}
        """Those that the next generation goes on with, by name, number and whether they always run.
        """
        self._changed = trio.Event()

    @property
    def instances(self) -> list[AppInstance]:
        """All instances, also those of earlier generations that are stopping."""
        return list(self._instances)

    @property
    def names(self) -> list[str]:
        """The names of those in the settings in force, in the live release, and of any that run."""
        live = self.generation.settings.processes if self.generation else ()
        others = (instance.name for instance in self._instances)
        return list(dict.fromkeys((*self._site.settings.processes, *live, *others)))

    @property
    def running(self) -> list[AppProcess]:
        return [instance.process for instance in self._instances if instance.process is not None]

    def doubled_by(self, settings: SiteSettings) -> list[AppProcess]:
        """Those that go on while new ones start, in a swap with these settings."""
        configs = settings.processes
        overlapping = {name for name in configs if configs[name].handover == "overlap"}
        current = [one for one in self._current if one.always_runs and one.name in overlapping]
        return [one.process for one in current if one.process is not None]

    @property
    def are_handing_over(self) -> bool:
        """Whether an instance waits for older ones to end."""
        stopping = {instance.name for instance in self._instances if instance.is_stopping}
        waiting = [one for one in self._starting if one.is_exclusive]
        return any(instance.name in stopping for instance in waiting)

    @property
    def have_failed(self) -> bool:
        """Whether one has failed before its release has proved itself."""
        return self.generation is not None and self.generation.failed.is_set()

    @property
    def release_paths(self) -> list[Path]:
        """Directories of releases in which a process may be running."""
        return [instance.generation.release.path for instance in self._instances]

    def would_be_same(self, release: Release, settings: SiteSettings) -> bool:
        """Whether a generation of this release, with these settings, would run the same."""
        current = self.generation
        return (
            current is not None
            and current.release.path == release.path
            and current.settings.app == settings.app
            and current.settings.processes == settings.processes
        )

    def use(self, generation: Generation | None) -> None:
        """Stop what runs, and start the processes of this generation. Nothing waits for that.

        If there is one to follow, a run of a schedule may finish.
        """
        for instance in self._instances:
            instance.stop(may_finish=generation is not None)
        self.generation = generation
        if generation is None or self._site.is_stopping:
            return
        self._site.schedules.keep(generation.settings.processes)
        for name, settings in generation.settings.processes.items():
            if self.are_asleep and settings.schedule is None:
                continue
            for number in range(1, settings.count + 1):
                handed = self._handed.pop((name, number, settings.schedule is None), None)
                self._add(generation, name, number, handed)
        for handed in self._handed.values():
            self._add(generation, handed.name, handed.number, handed).stop()
        self._handed.clear()

    def sleep(self) -> None:
        """Stop those that always run, until `wake`. Nothing waits for that."""
        self.are_asleep = True
        for instance in self._current:
            if instance.always_runs:
                instance.stop()

    def wake(self) -> None:
        """Start those that always run again, unless they have not slept."""
        generation, slept = self.generation, self.are_asleep
        self.are_asleep = False
        if not slept or generation is None or self._site.is_stopping:
            return
        for name, settings in generation.settings.processes.items():
            if settings.schedule is None:
                self._add_all(generation, name)

    def restart(self, name: str) -> Sequence[AppInstance]:
        """Replace the instances of one process, in its way of handing over; the new ones.

        Nothing waits for that, and the backends of the release do not notice it.
        """
        generation = self.generation
        if generation is None or self._site.is_stopping:
            return ()
        if name not in generation.settings.processes:
            return ()
        for instance in self._current:
            if instance.name == name and instance.generation is generation:
                instance.stop()
        return self._add_all(generation, name)

    def take_over(self, handed: Sequence[HandedProcess]) -> None:
        """Take over running processes from the program that ran in this process before.

        The next call of `use` goes on with those that its generation has, and stops the others.
        """
        for each in handed:
            if each.stopped_in is None:
                self._handed[each.name, each.number, each.always_runs] = each
            else:
                generation = handed_processes.generation_of(each, self._site.settings)
                self._add(generation, each.name, each.number, each).stop_in(each.stopped_in)

    def supervise(self) -> None:
        """Start those that end again, from now on: their release has proved itself."""
        if self.generation is not None:
            self.generation.supervised.set()

    async def stop(self) -> None:
        """Stop all processes, and wait until none is left."""
        self.use(None)
        await self._until_none(lambda instance: True)

    def kill(self) -> None:
        """Kill all processes at once, also those that are stopping."""
        for process in self.running:
            process.process.kill()

    async def until_stopped(self, name: str) -> None:
        """Wait until the instances of this name that are being stopped have ended."""
        await self._until_none(lambda other: other.name == name and other.is_stopping)

    async def until_started(self) -> float:
        """Wait until each instance that should run has been started; when the last one was."""
        while None in (started := [one.started_at for one in self._current if one.always_runs]):
            await self._changed.wait()
        return max((at for at in started if at is not None), default=-math.inf)

    async def until_none_in(self, release: Path) -> None:
        """Wait until no process that is being stopped runs in this directory."""
        await self._until_none(
            lambda other: other.is_stopping and other.generation.release.path == release
        )

    def note_start(self, instance: AppInstance) -> None:
        """Note that a process of this instance has been started."""
        if instance.started_at is None:
            instance.started_at = trio.current_time()
        self._note_change()

    @property
    def _current(self) -> list[AppInstance]:
        """The instances that should run."""
        return [instance for instance in self._instances if not instance.is_stopping]

    @property
    def _starting(self) -> list[AppInstance]:
        """The instances that should run all the time, and have not been started yet."""
        return [one for one in self._current if one.always_runs and one.started_at is None]

    async def _until_none(self, matches: Callable[[AppInstance], bool]) -> None:
        while any(matches(instance) for instance in self._instances):
            await self._changed.wait()

    def _add_all(self, generation: Generation, name: str) -> list[AppInstance]:
        """Add all instances of one process."""
        count = generation.settings.processes[name].count
        return [self._add(generation, name, number, None) for number in range(1, count + 1)]

    def _add(
        self, generation: Generation, name: str, number: int, handed: HandedProcess | None
    ) -> AppInstance:
        site = self._site
        process = handed_processes.take_over(handed, site.output) if handed else None
        instance = AppInstance(site, generation, name, number, process)
        self._instances.append(instance)
        site.slots.start_soon(self._run, instance)
        return instance

    async def _run(self, instance: AppInstance) -> None:
        try:
            await instance.run()
        finally:
            self._instances.remove(instance)
            self._note_change()

    def _note_change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
        self._site.state_file.change()
