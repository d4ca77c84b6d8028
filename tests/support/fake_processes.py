"""Processes that only say that they run: all orders of events can be tried without a program."""

import math
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import trio

from blue_green.config.app_process_settings import AppProcessSettings
from blue_green.config.kinds import Argv, Count
from blue_green.config.settings import SiteSettings
from blue_green.config.site_settings import AppSettings
from blue_green.site.processes import handed_processes
from blue_green.site.processes.app_instance import AppInstance
from blue_green.site.processes.app_process import AppProcess
from blue_green.site.processes.generation import Generation
from blue_green.site.site import Site
from blue_green.source import launch
from blue_green.source.failure import StepFailed
from blue_green.source.release import Release
from blue_green.system import users
from blue_green.system.handover import HandedProcess
from blue_green.system.output import Output


class FakeProcess:
    """Stands for an `AppProcess`: it runs until somebody stops it, or it is to die."""

    def __init__(self, generation: Generation, name: str, number: int, takes: float) -> None:
        self.generation = generation
        self.name = name
        self.number = number
        self.takes = takes
        """Seconds that it takes to stop."""
        self.ends_at = math.inf
        """When it ends, as it was stopped."""
        self.gone = trio.Event()
        self.is_stopping = False
        self.ending = "ended with exit status 3"
        self.succeeded = False
        self.process = SimpleNamespace(pid=1, began=None)
        self.output = (f"{name} {number} says goodbye",)

    async def run(self) -> None:
        await self.gone.wait()

    async def stop(self) -> None:
        if not self.is_stopping:  # Otherwise another program has stopped it before an upgrade.
            self.is_stopping = True
            self.ends_at = trio.current_time() + self.takes
        with trio.CancelScope(shield=True), trio.move_on_at(self.ends_at):
            await self.gone.wait()
        self.gone.set()

    @property
    def time_left(self) -> float | None:
        return self.ends_at - trio.current_time() if self.is_stopping else None

    def die(self) -> None:
        self.gone.set()

    def finish(self) -> None:
        """End with exit status 0."""
        self.succeeded = True
        self.gone.set()


class FakeProcesses:
    """Starts them, in place of `AppProcess.start`, and knows all that ever ran."""

    def __init__(self) -> None:
        self.started: list[FakeProcess] = []
        self.next_start = trio.Event()
        self.takes = 1.0
        """Seconds that those that are started from now on take to stop."""
        self.preparing = 0.0
        """Seconds that it takes to read what a start needs."""
        self.failure: StepFailed | None = None
        """Why none can be started now."""

    def install(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(AppProcess, "start", self.start)
        patch.setattr(launch, "prepare", self.prepare)
        patch.setattr(handed_processes, "take_over", self.take_over)

    async def prepare(self, *_: object, **__: object) -> None:
        await trio.sleep(self.preparing)

    def take_over(self, handed: HandedProcess, _: Output) -> FakeProcess:
        """The program before has gone, and knows nothing any more."""
        before = self.started[handed.pid]
        after = FakeProcess(before.generation, before.name, before.number, before.takes)
        after.is_stopping, after.ends_at = before.is_stopping, before.ends_at
        self.started[handed.pid] = after
        before.gone.set()
        return after

    def hand_over(self, instances: Iterable[AppInstance]) -> list[HandedProcess]:
        running = [(one, cast(FakeProcess | None, one.process)) for one in instances]
        return [
            HandedProcess(
                name=one.name,
                number=one.number,
                always_runs=one.always_runs,
                slot=one.generation.slot,
                revision=one.generation.release.revision,
                path=str(one.generation.release.path),
                pid=self.started.index(fake),
                pidfd=0,
                outputs=(0, 0),
                mark="",
                source=one.source,
                stop_signal=15,
                stop_timeout=fake.takes,
                stopped_in=one.stopped_in,
                killed_in=fake.time_left,
            )
            for one, fake in running
            if fake is not None and not fake.gone.is_set()
        ]

    def start(self, generation: Generation, name: str, number: int, *_: object) -> FakeProcess:
        if self.failure is not None:
            raise self.failure
        self._check_alone(generation, name, number)
        process = FakeProcess(generation, name, number, self.takes)
        self.started.append(process)
        self.next_start.set()
        return process

    @property
    def running(self) -> list[FakeProcess]:
        return [process for process in self.started if not process.gone.is_set()]

    def named(self, name: str) -> list[FakeProcess]:
        return [process for process in self.running if process.name == name]

    def _check_alone(self, generation: Generation, name: str, number: int) -> None:
        settings = generation.settings.processes[name]
        others = self.named(name)
        if settings.handover == "exclusive":
            assert not [one for one in others if one.is_stopping], "an older one still runs"
            assert all(one.generation is generation for one in others), "two releases at once"
            assert len(others) < settings.count
        alive = [one for one in others if not one.is_stopping]
        assert number not in [one.number for one in alive]


def generation(directory: Path, **processes: AppProcessSettings) -> Generation:
    """A generation with these processes."""
    settings = SiteSettings(
        "test", directory / "s.toml", directory / "state", AppSettings(), processes=processes
    )
    return Generation("blue", Release("a" * 40, directory), settings)


def process(*, count: int = 1, handover: str = "exclusive") -> AppProcessSettings:
    return AppProcessSettings(Argv(("work",)), count=Count(count), handover=handover)  # type: ignore[arg-type]


def make_site(directory: Path) -> Site:
    """A site without an app, whose parts nobody runs."""
    us = users.owner_of(Path("/proc/self"))
    config = SiteSettings("test", directory / "s.toml", directory / "state")
    return Site(config, owner=us, user=us)
