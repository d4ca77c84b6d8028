"""Processes that only say that they run: all orders of events can be tried without a program."""

from pathlib import Path

import pytest
import trio

from blue_green.config.app_process_settings import AppProcessSettings
from blue_green.config.kinds import Argv, Count
from blue_green.config.settings import SiteSettings
from blue_green.config.site_settings import AppSettings
from blue_green.site.app_process import AppProcess
from blue_green.site.generation import Generation
from blue_green.site.site import Site
from blue_green.source import launch
from blue_green.source.failure import StepFailed
from blue_green.source.release import Release
from blue_green.system import users


class FakeProcess:
    """Stands for an `AppProcess`: it runs until somebody stops it, or it is to die."""

    def __init__(self, generation: Generation, name: str, number: int, takes: float) -> None:
        self.generation = generation
        self.name = name
        self.number = number
        self.takes = takes
        """Seconds that it takes to stop."""
        self.gone = trio.Event()
        self.is_stopping = False
        self.ending = "ended with exit status 3"
        self.succeeded = False
        self.output = (f"{name} {number} says goodbye",)

    async def run(self) -> None:
        await self.gone.wait()

    async def stop(self) -> None:
        assert not self.is_stopping, "some programs exit at once on a second signal"
        self.is_stopping = True
        with trio.CancelScope(shield=True), trio.move_on_after(self.takes):
            await self.gone.wait()
        self.gone.set()

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

    async def prepare(self, *_: object, **__: object) -> None:
        await trio.sleep(self.preparing)

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
