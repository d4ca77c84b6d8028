"""What programs write, line by line."""

import os
from collections.abc import Callable

import trio

LONGEST_LINE = 16 * 1024


async def read(
    descriptor: int, on_lines: Callable[[list[bytes], bool], None], is_error: bool
) -> None:
    """Pass on the lines as they come, until the end; a pipe of ours, and what it is.

    One that is too long is passed on in pieces.
    """
    os.set_blocking(descriptor, False)
    begun = b""
    try:
        while True:
            await trio.lowlevel.wait_readable(descriptor)
            try:
                data = os.read(descriptor, 64 * 1024)
            except BlockingIOError:
                continue
            if not data:
                break
            *lines, begun = (begun + data).split(b"\n")
            if len(begun) > LONGEST_LINE:
                lines.append(begun)
                begun = b""
            on_lines(lines, is_error)
    finally:
        trio.lowlevel.notify_closing(descriptor)
        if begun:
            on_lines([begun], is_error)


def text(line: bytes) -> str:
    """The line as text that can be printed: what would move a terminal's cursor is shown."""
    cut = line[:LONGEST_LINE].rstrip(b"\r").decode(errors="backslashreplace")
    shown = cut if cut.isprintable() else "".join(map(_visible, cut))
    return shown + " ..." if len(line) > LONGEST_LINE else shown


def _visible(character: str) -> str:
    return character if character.isprintable() or character == "\t" else repr(character)[1:-1]
