"""A command that runs while a test looks at it."""

import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio
from attrs import define, field

from blue_green.system import procfs, supervisor_marker, users
from blue_green.system.command import Finished, run
from blue_green.system.printable import printable_line
from blue_green.system.process import Process
from tests.waiting import PATIENCE, until

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


DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
"""The beginning of a program that does not end when it is asked to."""


WITH_CHILD = """
import os, signal, sys, time
if os.fork() == 0:
    {child}
    os.write(1, b"child %d\\n" % os.getpid())
    time.sleep(600)
{leader}
os.write(1, b"leader %d\\n" % os.getpid())
time.sleep({life})
"""


async def python(directory: Path, program: str, timeout: float = PATIENCE) -> Finished:
    argv = [sys.executable, "-c", program]
    return await run(argv, cwd=directory, env={}, user=US, timeout=timeout, inherits=True)


def alive(directory: Path) -> list[int]:
    """All processes of a test that still live."""
    return procfs.pids_of_supervisor(supervisor_marker.entry(directory))
