"""A ring buffer of the last lines of output of backends, processes, builds and migrations.

It is bounded in lines and in bytes, and each line has a number. A reader only remembers the number
of its next line. If it reads too slowly, that line is gone from the ring: it learns how many lines
it has missed, and goes on from there. So no reader makes a program, the supervisor or another
reader wait.
"""

import mmap
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import count, islice
from typing import Any

import trio
from attrs import define, frozen

from blue_green.system import log

MAX_LINES = 10_000
ROOM = 4 * 1024 * 1024
"""Bytes of text, in UTF-8."""
BATCH_LINES = 200
BATCH_CHARACTERS = 64 * 1024
"""The limits of a batch, so that encoding it as JSON takes less than a millisecond."""

LineFilter = Callable[[str, str], bool]
"""`matches(source, revision)`: whether a reader wants a line."""


@frozen
class Line:
    """One line of output."""

    at: float
    """When it was read, in seconds since the epoch."""
    source: str
    """`blue`, `green`, `build` or `migrate`, or a process such as `worker` or `worker.2`."""
    revision: str
    is_error: bool
    """It was written to standard error."""
    text: str

    def as_dict(self) -> dict[str, Any]:
        """As an object of the control protocol."""
        at = datetime.fromtimestamp(self.at, UTC).isoformat(timespec="milliseconds")
        return {
            "at": at,
            "source": self.source,
            "revision": self.revision,
            "is_error": self.is_error,
            "text": self.text,
        }


@define(eq=False)
class _Entry:
    """A line whose text is in bytes `start` to `end` of the ring, with a newline."""

    at: float
    source: str
    revision: str
    is_error: bool
    start: int
    end: int


class Output:
    """The ring buffer."""

    def __init__(self, label: str = "", *, room: int = ROOM, lines: int = MAX_LINES) -> None:
        """The label begins each line in the log. `room` is in bytes."""
        self._label = f"{label} " if label else ""
        self._room = room
        self._max_lines = lines
        # All text is in one block of memory, which never grows. Thousands of long-lived strings
        # would fragment the heap, so that memory between them could not be returned. The kernel
        # provides a page when it is first written to, so an app that is quiet costs nothing.
        self._text = mmap.mmap(-1, room)
        self._free = 0
        """Where the text of the next line goes, over the oldest lines."""
        self._entries: deque[_Entry] = deque()
        self._end = 0
        self._more = trio.Event()

    @property
    def waiting_readers(self) -> int:
        """How many tasks wait for the next line."""
        return self._more.statistics().tasks_waiting

    def take(self, source: str, revision: str, lines: Sequence[str], *, is_error: bool) -> None:
        """Log these lines, and add them to the ring."""
        log.output(f"{self._label}{source} {revision[:7]}", lines)
        now = time.time()
        for text in lines:
            self._add(now, source, revision, is_error, text)
        self._end += len(lines)
        if lines:
            self._more.set()
            self._more = trio.Event()

    def _add(self, now: float, source: str, revision: str, is_error: bool, text: str) -> None:
        """Write the text into the ring, over the oldest lines."""
        data = text.encode(errors="backslashreplace") + b"\n"
        start = self._free
        end = start + len(data)
        if end > self._room:
            self._forget(start, self._room)
            start, end = 0, len(data)
        self._forget(start, end)
        self._text[start:end] = data
        self._free = end
        self._entries.append(_Entry(now, source, revision, is_error, start, end))
        if len(self._entries) > self._max_lines:
            self._entries.popleft()

    def _forget(self, start: int, end: int) -> None:
        """Forget the lines whose text is in that part of the ring."""
        while self._entries and start <= self._entries[0].start < end:
            self._entries.popleft()

    @property
    def end(self) -> int:
        """The number of the next line to come."""
        return self._end

    def start_of_last(self, number: int, matches: LineFilter) -> int:
        """The number from which to read the last `number` lines that match."""
        start, left = self._end, number
        for at, entry in zip(count(self._end - 1, -1), reversed(self._entries), strict=False):
            if left <= 0:
                break
            if matches(entry.source, entry.revision):
                start = at
                left -= 1
        return start

    def read(self, start: int, matches: LineFilter) -> "Batch":
        """Read matching lines from number `start` on, up to the limits of a batch."""
        first = self._end - len(self._entries)
        lost = max(0, first - start)
        next_line = start + lost
        lines: list[Line] = []
        characters = 0
        for entry in islice(self._entries, next_line - first, next_line - first + BATCH_LINES):
            next_line += 1
            if matches(entry.source, entry.revision):
                lines.append(self._line(entry))
                characters += len(lines[-1].text)
                if characters >= BATCH_CHARACTERS:
                    break
        return Batch(lost, lines, next_line)

    def _line(self, entry: _Entry) -> Line:
        text = self._text[entry.start : entry.end - 1].decode()
        return Line(entry.at, entry.source, entry.revision, entry.is_error, text)

    async def until_line(self, number: int) -> None:
        """Wait until the line with this number has come."""
        while self._end <= number:
            await self._more.wait()


@frozen
class Batch:
    """Some lines of output."""

    lost: int
    """Lines, of any source, that were gone before they could be read."""
    lines: Sequence[Line]
    next_line: int
    """The number of the line after them."""
