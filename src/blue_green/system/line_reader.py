"""What programs write, line by line.

A program that writes without end must not keep us from anything else: it is read in small portions,
and reading takes no more than a share of our time. If it writes faster, it has to wait for us.
"""

import fcntl
import os
import time
from collections.abc import Callable
from contextlib import suppress

import trio

from blue_green.system.printable import printable

LONGEST_LINE = 16 * 1024
MOST_BYTES = 16 * 1024
MOST_LINES = 150
"""What is passed on at once, so that it takes about as long as a few requests."""
SLICE = 0.001
"""Seconds after which others have their turn. On a busy site that is once in each round of the
event loop: if it were much less, an app that talks as usual would have to wait for us."""
REST = 3.0
"""For how long others then have their turn, as a multiple of what was spent."""
PIPE = 256 * 1024
"""Bytes that a program may be ahead of us."""


async def read(
    descriptor: int, on_lines: Callable[[list[bytes], bool], None], is_error: bool
) -> None:
    """Pass on the lines as they come, until the end; a pipe of ours, and what it is.

    One that is too long is passed on in pieces.
    """

    spent = 0.0

    async def pass_on(lines: list[bytes]) -> None:
        nonlocal spent
        start = time.perf_counter()
        on_lines(lines, is_error)
        spent += time.perf_counter() - start
        if spent >= SLICE:
            rest, spent = REST * spent, 0.0
            await trio.sleep(rest)

    os.set_blocking(descriptor, False)
    with suppress(OSError):  # It is no pipe, or its user has much in pipes already (pipe(7)).
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE)
    begun = data = b""
    try:
        while True:
            if len(data) < MOST_BYTES:  # Otherwise there is more, or will be soon.
                await trio.lowlevel.wait_readable(descriptor)
            try:
                data = os.read(descriptor, MOST_BYTES)
            except BlockingIOError:
                data = b""
                continue
            if not data:
                break
            begun += data
            while b"\n" in begun:
                *lines, begun = begun.split(b"\n", MOST_LINES)
                await pass_on(lines)
            if len(begun) > LONGEST_LINE:
                too_long, begun = begun, b""
                await pass_on([too_long])
    finally:
        trio.lowlevel.notify_closing(descriptor)
        if begun:
            on_lines([begun], is_error)


def text(line: bytes) -> str:
    """The line as text that can be printed: what would move a terminal's cursor is shown."""
    shown = printable(line[:LONGEST_LINE].rstrip(b"\r").decode(errors="surrogateescape"))
    return shown + " ..." if len(line) > LONGEST_LINE else shown
