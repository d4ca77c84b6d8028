"""Run a command to its end."""

import os
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import trio
from attrs import frozen

from blue_green.lines import text
from blue_green.process import TAIL, Process, ending
from blue_green.users import User

GRACE = 5.0
"""Seconds that a command has to end by itself when it is called off, or takes too long."""


@frozen
class Finished:
    """What a command that ran to its end left behind."""

    argv: Sequence[str]
    code: int
    """The exit status, or minus the signal that ended it."""
    stdout: str
    tail: tuple[str, ...]
    """The last lines of its output, of both kinds."""
    timed_out: bool = False

    @property
    def ok(self) -> bool:
        return self.code == 0 and not self.timed_out

    def __str__(self) -> str:
        end = "took too long" if self.timed_out else ending(self.code)
        return f"{' '.join(self.argv[:3])} {end}"


async def run(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    user: User,
    timeout: float,
    on_lines: Callable[[list[str], bool], None] | None = None,
    stdin: bytes = b"",
) -> Finished:
    """Run a command to its end, or for `timeout` seconds; raise `CannotStart` if it cannot.

    `on_lines(lines, is_error)` gets what it writes, as it comes, in place of `stdout`.
    """
    stdout: list[str] = []
    tail: deque[str] = deque(maxlen=TAIL)

    def take(lines: list[bytes], is_error: bool) -> None:
        readable = [text(line) for line in lines]
        tail.extend(readable)
        if on_lines is not None:
            on_lines(readable, is_error)
        elif not is_error:
            stdout.extend(line.decode(errors="surrogateescape") for line in lines)

    with _readable(stdin) as descriptor:
        process = Process.start(argv, cwd=cwd, env=env, user=user, stdin=descriptor)
    timed_out = False
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(process.attend, take, grace=GRACE))
        with trio.move_on_after(timeout) as limit:
            await process.gone.wait()
        if limit.cancelled_caught:
            timed_out = True
            await process.stop(signal.SIGTERM, GRACE)
    assert process.returncode is not None
    return Finished(argv, process.returncode, "\n".join(stdout), tuple(tail), timed_out)


@contextmanager
def _readable(data: bytes) -> Iterator[int]:
    """A descriptor to read this from.

    A file in memory and no pipe: a command that reads late, or not at all, then concerns nobody.
    """
    if not data:
        yield subprocess.DEVNULL
        return
    with os.fdopen(os.memfd_create("stdin"), "w+b") as file:
        file.write(data)
        file.seek(0)
        yield file.fileno()
