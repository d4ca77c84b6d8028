"""Read the output of programs, line by line.

A program that writes without end must not keep us from anything else: its output is read in small
portions, and reading takes at most a share of our time. A program that writes faster has to wait.
"""

import fcntl
import os
import time
from collections.abc import Callable
from contextlib import suppress

import trio

from blue_green.system.printable import LONGEST_LINE

MAX_BYTES = 16 * 1024
MAX_LINES = 150
"""Read or passed on at once, which takes about as long as a few requests."""
SLICE = 0.001
"""Seconds after which reading pauses. On a busy site that is once in each iteration of the event
loop: if it were much less, an app with ordinary output would have to wait for us."""
PAUSE_FACTOR = 3.0
"""The length of the pause, as a multiple of the time spent."""
PIPE_SIZE = 256 * 1024
"""Bytes that a program may write before it has to wait."""


async def read(
    descriptor: int, on_lines: Callable[[list[bytes], bool], None], is_error: bool
) -> None:
    """Read a pipe to its end, and pass on its lines as `on_lines(lines, is_error)`.

    A line that is too long is passed on in pieces.
    """

    spent = 0.0

    async def pass_on(lines: list[bytes]) -> None:
        nonlocal spent
        start = time.perf_counter()
        on_lines(lines, is_error)
        spent += time.perf_counter() - start
        if spent >= SLICE:
            pause, spent = PAUSE_FACTOR * spent, 0.0
            await trio.sleep(pause)

    os.set_blocking(descriptor, False)
    with suppress(OSError):  # It is no pipe, or the user's limit for pipes is used up (pipe(7)).
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
    partial = data = b""
    try:
        while True:
            if len(data) < MAX_BYTES:  # Otherwise there is more to read.
                await trio.lowlevel.wait_readable(descriptor)
            try:
                data = os.read(descriptor, MAX_BYTES)
            except BlockingIOError:
                data = b""
                continue
            if not data:
                break
            partial += data
            while b"\n" in partial:
                *lines, partial = partial.split(b"\n", MAX_LINES)
                await pass_on(lines)
            if len(partial) > LONGEST_LINE:
                too_long, partial = partial, b""
                await pass_on([too_long])
    finally:
        trio.lowlevel.notify_closing(descriptor)
        if partial:
            on_lines([partial], is_error)
