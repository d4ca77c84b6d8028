"""What programs write, read so that nothing else has to wait for it."""

import os
import time

import pytest

from blue_green import lines


def full_of(what: bytes) -> int:
    """What is read from a program that wrote as much as the pipe takes, and ended."""
    source, sink = os.pipe()
    os.set_blocking(sink, False)
    os.write(sink, what * (1024 * 1024 // len(what)))
    os.close(sink)
    return source


@pytest.mark.parametrize("what", [b"\n", b"a\n", b"x" * 70_000 + b"\n", b"\0"])
async def test_a_flood_is_passed_on_in_portions_with_rest_between(what: bytes) -> None:
    portions: list[list[bytes]] = []
    spent = 0.0

    def on_lines(more: list[bytes], is_error: bool) -> None:
        nonlocal spent
        start = time.perf_counter()
        portions.append(more)
        while time.perf_counter() < start + 0.0002:
            pass
        spent += time.perf_counter() - start

    source = full_of(what)
    try:
        began = time.perf_counter()
        await lines.read(source, on_lines, False)
        took = time.perf_counter() - began
    finally:
        os.close(source)
    written = b"\n".join(line for portion in portions for line in portion)
    assert len(written) > 60_000
    assert len(portions) > 1
    assert max(map(len, portions)) <= lines.MOST_LINES
    before_the_last = spent * (len(portions) - 1) / len(portions)
    assert took > lines.REST * before_the_last * 0.5, "it had no rest"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (b"all is well\r", "all is well"),
        (b"\ta\x1b[31mb\x7f\\", "\ta\\x1b[31mb\\x7f\\"),
        (b"caf\xc3\xa9 caf\xe9", "café caf\\xe9"),
        ("\u202e\U0001f600".encode(), "\\u202e\U0001f600"),
        (b"\xed\xb2\x80", "\\xed\\xb2\\x80"),
        (b"x" * 20_000, "x" * lines.LONGEST_LINE + " ..."),
    ],
)
def test_a_line_is_shown_so_that_it_moves_no_cursor(line: bytes, shown: str) -> None:
    assert lines.text(line) == shown
