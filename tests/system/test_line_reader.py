"""Reading the output of programs without delaying anything else."""

import fcntl
import os
import time

import pytest
import trio
import trio.testing

from blue_green.system import line_reader
from blue_green.system.printable import LONGEST_LINE, printable_line

ROOM = 1024 * 1024
"""Bytes of a pipe, at most, for a user without privileges (pipe(7))."""


def full_of(what: bytes, room: int = 64 * 1024) -> int:
    """What is read from a program that wrote as much as the pipe takes, and ended."""
    source, sink = os.pipe()
    fcntl.fcntl(source, fcntl.F_SETPIPE_SZ, room)
    os.set_blocking(sink, False)
    os.write(sink, what * (1024 * 1024 // len(what)))
    os.close(sink)
    return source


@pytest.mark.parametrize("what", [b"\n", b"a\n", b"x" * 70_000 + b"\n", b"\0"])
async def test_a_flood_of_output_is_read_in_portions_with_pauses(what: bytes) -> None:
    portions: list[list[bytes]] = []
    spent = 0.0

    def on_lines(more: list[bytes], is_error: bool) -> None:
        nonlocal spent
        start = time.perf_counter()
        portions.append(more)
        while time.perf_counter() < start + line_reader.SLICE * 0.6:
            pass
        spent += time.perf_counter() - start

    source = full_of(what)
    try:
        began = time.perf_counter()
        await line_reader.read(source, on_lines, False)
        took = time.perf_counter() - began
    finally:
        os.close(source)
    written = b"\n".join(line for portion in portions for line in portion)
    assert len(written) > 60_000
    assert len(portions) > 1
    assert max(map(len, portions)) <= line_reader.MAX_LINES
    before_the_last = spent * (len(portions) - 1) / len(portions)
    assert took > line_reader.PAUSE_FACTOR * before_the_last * 0.5, "it had no rest"


class Steps(trio.abc.Instrument):
    """Counts how often any task has had its turn."""

    def __init__(self) -> None:
        self.count = 0

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += 1


async def test_ordinary_output_is_read_without_pauses() -> None:
    portions: list[int] = []
    source = full_of(b"x" * 149 + b"\n", ROOM)
    steps = Steps()
    trio.lowlevel.add_instrument(steps)
    try:
        await line_reader.read(source, lambda more, _: portions.append(len(more)), False)
    finally:
        trio.lowlevel.remove_instrument(steps)
        os.close(source)
    assert sum(portions) == ROOM // 150
    assert steps.count < len(portions) / 2


async def test_a_program_may_write_ahead_of_its_reader() -> None:
    source, sink = os.pipe()
    os.set_blocking(sink, False)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(line_reader.read, source, lambda *_: None, False)
            await trio.testing.wait_all_tasks_blocked()
            assert os.write(sink, b"x" * 2 * line_reader.PIPE_SIZE) == line_reader.PIPE_SIZE
            os.close(sink)
    finally:
        os.close(source)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (b"all is well\r", "all is well"),
        (b"\ta\x1b[31mb\x7f\\", "\ta\\x1b[31mb\\x7f\\"),
        (b"caf\xc3\xa9 caf\xe9", "café caf\\xe9"),
        ("\u202e\U0001f600".encode(), "\\u202e\U0001f600"),
        (b"\xed\xb2\x80", "\\xed\\xb2\\x80"),
        (b"x" * 20_000, "x" * LONGEST_LINE + " ..."),
    ],
)
def test_control_characters_in_a_line_are_made_visible(line: bytes, shown: str) -> None:
    assert printable_line(line) == shown
