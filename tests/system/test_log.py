"""An unread log costs bounded memory and no time."""

import logging
import os
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import pytest

from blue_green.system import log
from blue_green.system.log import FLUSH_TIMEOUT, ROOM, Sink

LINE = "x" * 15_000


@contextmanager
def sink_and_reader() -> Iterator[tuple[Sink, int]]:
    """A sink, and the end of a pipe from which it can be read."""
    reading, writing = os.pipe()
    sink = Sink(writing)
    try:
        yield sink, reading
    finally:
        os.close(reading)  # Whatever is still being written has failed now.
        sink.close()
        os.close(writing)


def read_until(end: int, last: str) -> list[str]:
    """What comes, line by line, up to a line that ends so."""
    data = bytearray()
    while not data.endswith(f"{last}\n".encode()):
        data += os.read(end, 1024 * 1024)
    return data.decode().splitlines()


@pytest.mark.parametrize("character", ["x", "\u00e9", "\u4e2d", "\U0001f600"])
def test_an_unread_log_takes_bounded_memory(character: str) -> None:
    with sink_and_reader() as (sink, reading):
        tracemalloc.start()
        lines = 20_000
        for number in range(lines):
            sink.line(f"{character * 15_000} {number}", bare=True)
        used, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert used < ROOM + 2 * 2**20
        told = read_until(reading, "fast enough")
        lost, _, what = told.pop().partition(" ")
        assert what == "lines of the log were lost: it is not read fast enough"
        assert len(told) + int(lost) == lines
        numbers = [int(line.split()[1]) for line in told]
        assert numbers == sorted(set(numbers))
        sink.line("read again", bare=True)
        assert read_until(reading, "again") == ["read again"]


def test_lines_logged_together_are_written_and_lost_one_by_one() -> None:
    with sink_and_reader() as (sink, reading):
        times, count = 3_000, 4
        for _ in range(times):
            sink.lines("blue", ["x" * 3_000] * count)
        told = read_until(reading, "fast enough")
        lost, _, _ = told.pop().partition(" ")
        assert len(told) + int(lost) == times * count
        assert {line.partition(" ")[2] for line in told} == {"blue | " + "x" * 3_000}


def test_waiting_lines_are_written_at_the_end() -> None:
    with sink_and_reader() as (sink, reading):
        reader = Thread(target=read_until, args=(reading, "the end"))
        reader.start()
        for _ in range(100):
            sink.line(LINE)
        sink.line("the end", bare=True)
        sink.flush()
        reader.join(FLUSH_TIMEOUT)
        assert not reader.is_alive()


def test_an_unread_log_does_not_delay_the_end() -> None:
    with sink_and_reader() as (sink, _reading):
        for _ in range(100):
            sink.line(LINE)
        began = time.monotonic()
        sink.flush()
        sink.close()
        assert time.monotonic() - began < 3 * FLUSH_TIMEOUT


def test_a_message_inside_a_site_begins_with_its_name(capfd: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("blue_green.test")
    with log.to_stderr():
        logger.info("before")
        with log.about("blog"):
            logger.info("started")
            logger.error("failed")
            with log.about(""):
                logger.info("nowhere")
        logger.info("after")
    lines = [line.partition(" ")[2] for line in capfd.readouterr().err.splitlines()]
    assert lines == ["before", "blog: started", "error: blog: failed", "nowhere", "after"]
