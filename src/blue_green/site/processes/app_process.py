"""One process: a process tree that runs a program of a release which takes no requests."""

import signal
from collections.abc import Sequence

import trio
from attrs import frozen

from blue_green.config.app_process_settings import AppProcessSettings
from blue_green.config.placeholders import Placeholders
from blue_green.config.site_settings import AppSettings
from blue_green.site.processes.generation import Generation
from blue_green.source.failure import from_errno
from blue_green.source.launch import Launch
from blue_green.system.cannot_start import CannotStart
from blue_green.system.output import Output
from blue_green.system.printable import printable_line
from blue_green.system.process import Process, ending
from blue_green.system.tail import Tail


@frozen
class StopSettings:
    """How a process is stopped."""

    signal: signal.Signals
    timeout: float
    """Seconds that it may take to finish its work."""

    @classmethod
    def of(cls, settings: AppProcessSettings | None, app: AppSettings) -> "StopSettings":
        """Those of a process, with the defaults of `[app]`."""
        how = settings.stop_signal if settings else None
        timeout = settings.stop_timeout if settings else None
        return cls(how or app.stop_signal, app.stop_timeout if timeout is None else timeout)


class AppProcess:
    """A running process tree, how it is stopped, and its last lines of output."""

    def __init__(
        self, process: Process, source: str, revision: str, stopping: StopSettings, output: Output
    ) -> None:
        """`source` is its name in the log."""
        self.process = process
        self.source = source
        self.revision = revision
        self.stopping = stopping
        self.killed_at: float | None = None
        """When it is killed, on trio's clock, if it has got its stop signal."""
        self._output = output
        self._tail = Tail()

    @classmethod
    def start(
        cls,
        generation: Generation,
        name: str,
        number: int,
        how: Launch,
        output: Output,
    ) -> "AppProcess":
        """Start instance `number` of a process; raise `StepFailed`. `run` must follow."""
        settings, release = generation.settings.processes[name], generation.release
        filled = Placeholders(
            generation.slot, release.revision, str(release.path), instance=str(number)
        )
        try:
            process = Process.start(
                filled.fill_in(settings.command),
                cwd=how.directory,
                env={**how.env, **settings.env, **filled.variables},
                user=how.user,
                inherits=True,
            )
        except CannotStart as error:
            raise from_errno(f"process {name}: {error}", error.errno) from None
        stopping = StopSettings.of(settings, generation.settings.app)
        source = source_of(name, number, settings)
        return cls(process, source, release.revision, stopping, output)

    async def run(self) -> None:
        """Log the output of the process tree until nothing of it is left."""
        await self.process.run(self._take)

    async def stop(self) -> None:
        """Stop the whole process tree, gracefully at first; then nothing of it is left.

        Only the program itself gets the signal. A queue worker then lets its children finish their
        jobs; if they got the signal, too, it would end them in the middle of these.
        """
        is_signalled = self.killed_at is not None
        if self.killed_at is None:
            self.killed_at = trio.current_time() + self.stopping.timeout
        await self.process.stop(
            self.stopping.signal,
            max(0.0, self.killed_at - trio.current_time()),
            leader_first=True,
            is_signalled=is_signalled,
        )

    @property
    def time_left(self) -> float | None:
        """Seconds until it is killed, if it has got its stop signal."""
        return None if self.killed_at is None else max(0.0, self.killed_at - trio.current_time())

    @property
    def gone(self) -> trio.Event:
        """Nothing of it is left."""
        return self.process.gone

    @property
    def succeeded(self) -> bool:
        """Whether it has ended with exit status 0."""
        return self.process.returncode == 0

    @property
    def ending(self) -> str:
        """How it ended, in words."""
        return ending(self.process.returncode)

    @property
    def output(self) -> Sequence[str]:
        return self._tail.lines

    def _take(self, lines: list[bytes], is_error: bool) -> None:
        texts = [printable_line(line) for line in lines]
        self._tail.extend(texts)
        self._output.take(self.source, self.revision, texts, is_error=is_error)


def source_of(name: str, number: int, settings: AppProcessSettings) -> str:
    """The name of an instance in the log: `worker`, or `worker.2` if there are several."""
    return name if settings.count == 1 else f"{name}.{number}"
