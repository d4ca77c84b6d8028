"""Run a command to its end."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import trio
from attrs import frozen

from blue_green.system.printable import printable_line
from blue_green.system.process import Process, ending
from blue_green.system.tail import Tail
from blue_green.system.users import User

GRACE = 5.0
"""Seconds between SIGTERM and SIGKILL when a command is cancelled or takes too long."""
MAX_OUTPUT = 1024 * 1024
"""Bytes of standard output that are kept by default."""


@frozen
class Finished:
    """The result of a command."""

    argv: Sequence[str]
    code: int
    """The exit status, or minus the signal that killed it."""
    stdout: str
    """All of it, or its beginning if it was too long."""
    tail: tuple[str, ...]
    """The last lines of standard output and standard error."""
    timed_out: bool = False
    wrote_too_much: bool = False
    """The command was ended because it wrote too much."""

    @property
    def ok(self) -> bool:
        return self.code == 0 and not self.timed_out and not self.wrote_too_much

    def __str__(self) -> str:
        end = "took too long" if self.timed_out else ending(self.code)
        end = "wrote too much" if self.wrote_too_much else end
        return f"{' '.join(self.argv[:3])} {end}"


class _Output:
    """The standard output of a command, up to a limit."""

    def __init__(self, most: int, on_full: Callable[[], None]) -> None:
        self.is_full = False
        self._lines: list[str] = []
        self._room = most
        self._on_full = on_full

    def take(self, lines: Sequence[bytes]) -> None:
        for line in lines:
            if self.is_full:
                return
            self._lines.append(line[: self._room].decode(errors="surrogateescape"))
            self._room -= len(line) + 1
            if self._room < 0:
                self.is_full = True
                self._on_full()

    def __str__(self) -> str:
        return "\n".join(self._lines)


async def run(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    user: User,
    timeout: float,
    on_lines: Callable[[list[str], bool], None] | None = None,
    stdin: bytes = b"",
    max_output: int = MAX_OUTPUT,
    inherits: bool = False,
) -> Finished:
    """Run a command to its end, for at most `timeout` seconds; raise `CannotStart`.

    `on_lines(lines, is_error)` gets the output as it comes; `stdout` then stays empty. Otherwise
    the command is ended when it writes more than `max_output` bytes to standard output. For
    `inherits` see `Process.start`.
    """
    limit = trio.CancelScope()
    stdout = _Output(max_output, limit.cancel)
    tail = Tail()

    def take(lines: list[bytes], is_error: bool) -> None:
        readable = [printable_line(line) for line in lines]
        tail.extend(readable)
        if on_lines is not None:
            on_lines(readable, is_error)
        elif not is_error:
            stdout.take(lines)

    with _readable(stdin) as descriptor:
        process = Process.start(
            argv, cwd=cwd, env=env, user=user, stdin=descriptor, inherits=inherits
        )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(process.run, take, grace=GRACE))
        limit.deadline = trio.current_time() + timeout
        with limit:
            await process.gone.wait()
        if limit.cancelled_caught:
            await process.stop(signal.SIGTERM, GRACE)
    assert process.returncode is not None
    return Finished(
        argv,
        process.returncode,
        str(stdout),
        tail.lines,
        timed_out=limit.cancelled_caught and not stdout.is_full,
        wrote_too_much=stdout.is_full,
    )


@contextmanager
def _readable(data: bytes) -> Iterator[int]:
    """A descriptor from which to read this.

    A file in memory, not a pipe: nothing then waits for a command that does not read.
    """
    if not data:
        yield subprocess.DEVNULL
        return
    with os.fdopen(os.memfd_create("stdin"), "w+b") as file:
        file.write(data)
        file.seek(0)
        yield file.fileno()
