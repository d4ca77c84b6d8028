"""What programs write, line by line.

A program that writes without end must not keep us from anything else: it is read in small portions,
and reading takes no more than a share of our time. If it writes faster, it has to wait for us.
"""

import os
import time
from collections.abc import Callable

import trio

from blue_green.visible import visible

LONGEST_LINE = 16 * 1024
MOST_BYTES = 16 * 1024
MOST_LINES = 100
"""What is passed on at once, so that it takes about as long as a request."""
REST = 3.0
"""For how long others have their turn after each portion, as a multiple of the time it took."""


async def read(
    descriptor: int, on_lines: Callable[[list[bytes], bool], None], is_error: bool
) -> None:
    """Pass on the lines as they come, until the end; a pipe of ours, and what it is.

    One that is too long is passed on in pieces.
    """

    async def pass_on(lines: list[bytes]) -> None:
        start = time.perf_counter()
        on_lines(lines, is_error)
        await trio.sleep(REST * (time.perf_counter() - start))

    os.set_blocking(descriptor, False)
    begun = b""
    try:
        while True:
            await trio.lowlevel.wait_readable(descriptor)
            try:
                data = os.read(descriptor, MOST_BYTES)
            except BlockingIOError:
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
    shown = visible(line[:LONGEST_LINE].rstrip(b"\r").decode(errors="surrogateescape"))
    return shown + " ..." if len(line) > LONGEST_LINE else shown
