"""A command that runs while a test looks at it."""

import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio
from attrs import define, field

from blue_green.system import supervisor_marker, users
from blue_green.system.printable import printable_line
from blue_green.system.process import Process
from tests.waiting import until

US = users.owner_of(Path("/proc/self"))
"""The user who runs the tests."""


@define
class RunningProcess:
    """A process that is attended, and what it wrote."""

    process: Process
    scope: trio.CancelScope = field(factory=trio.CancelScope)
    lines: list[str] = field(factory=list)
    errors: list[str] = field(factory=list)

    def take(self, lines: list[bytes], is_error: bool) -> None:
        (self.errors if is_error else self.lines).extend(map(printable_line, lines))

    async def run(self) -> None:
        with self.scope:
            await self.process.run(self.take)

    async def said(self, word: str) -> int:
        """The number that stands behind this word in the output, when it is there."""

        def look() -> list[int]:
            return [int(line.split()[1]) for line in self.lines if line.startswith(f"{word} ")]

        numbers: list[int] = await until(word, look)
        return numbers[0]


@asynccontextmanager
async def running(directory: Path, program: str, **env: str) -> AsyncIterator[RunningProcess]:
    """This Python program, until the block ends."""
    argv, marked = [sys.executable, "-c", program], supervisor_marker.variable(directory)
    started = RunningProcess(Process.start(argv, cwd=directory, env={**marked, **env}, user=US))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(started.run)
        yield started
        await started.process.stop(signal.SIGKILL, 1)
