"""The last lines that our programs wrote: backends, and the commands that build and migrate.

They are kept in one ring, bounded in lines and in bytes, and each has a number. Whoever reads
along remembers the number of the line that comes next, and nothing else is kept for them: one who
reads too slowly finds that number gone from the ring, learns how many lines were missed, and goes
on from what is there. So no reader makes a program, the supervisor or another reader wait.
"""

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
"""What is read at once, so that to write it out as JSON takes less than a millisecond."""

Chosen = Callable[[str, str], bool]
"""Whether somebody wants a line, by its source and its revision."""


@frozen
class Line:
    """One line of output."""

    at: float
    """When it was read, in seconds since the epoch."""
    source: str
    """Who wrote it: `blue`, `green`, `build` or `migrate`."""
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
class _Kept:
    """A line whose text is in the ring, in bytes `start` to `end`, with a newline."""

    at: float
    source: str
    revision: str
    is_error: bool
    start: int
    end: int


class Output:
    """The ring, and what wakes those who read along."""

    def __init__(self) -> None:
        # All text is in one piece of memory, which grows no more: thousands of strings, kept among
        # others that are soon forgotten, would keep the memory of those from being given back.
        self._text = bytearray(ROOM)
        self._free = 0
        """Where the text of the next line goes, over that of the oldest ones."""
        self._kept: deque[_Kept] = deque()
        self._end = 0
        self._more = trio.Event()

    def take(self, source: str, revision: str, lines: Sequence[str], *, is_error: bool) -> None:
        """Log these lines, and keep them."""
        log.output(f"{source} {revision[:7]}", lines)
        now = time.time()
        for text in lines:
            self._keep(now, source, revision, is_error, text)
        self._end += len(lines)
        if lines:
            self._more.set()
            self._more = trio.Event()

    def _keep(self, now: float, source: str, revision: str, is_error: bool, text: str) -> None:
        """Write the text into the ring, in place of the oldest lines."""
        kept = self._kept
        data = text.encode(errors="backslashreplace") + b"\n"
        start = self._free
        end = start + len(data)
        if end > ROOM:
            self._forget(start, ROOM)
            start, end = 0, len(data)
        self._forget(start, end)
        self._text[start:end] = data
        self._free = end
        kept.append(_Kept(now, source, revision, is_error, start, end))
        if len(kept) > MAX_LINES:
            kept.popleft()

    def _forget(self, start: int, end: int) -> None:
        """Forget the lines whose text is in that part of the ring."""
        while self._kept and start <= self._kept[0].start < end:
            self._kept.popleft()

    @property
    def end(self) -> int:
        """The number of the line that comes next."""
        return self._end

    def start_of_last(self, wanted: int, chosen: Chosen) -> int:
        """The number at which to begin to read the last `wanted` lines that are `chosen`."""
        start = self._end
        for number, kept in zip(count(self._end - 1, -1), reversed(self._kept), strict=False):
            if wanted <= 0:
                break
            if chosen(kept.source, kept.revision):
                start = number
                wanted -= 1
        return start

    def read(self, start: int, chosen: Chosen) -> "Piece":
        """What is there from number `start` on, up to a bound."""
        first = self._end - len(self._kept)
        lost = max(0, first - start)
        following = start + lost
        lines: list[Line] = []
        characters = 0
        for kept in islice(self._kept, following - first, following - first + BATCH_LINES):
            following += 1
            if chosen(kept.source, kept.revision):
                lines.append(self._line(kept))
                characters += len(lines[-1].text)
                if characters >= BATCH_CHARACTERS:
                    break
        return Piece(lost, lines, following)

    def _line(self, kept: _Kept) -> Line:
        text = self._text[kept.start : kept.end - 1].decode()
        return Line(kept.at, kept.source, kept.revision, kept.is_error, text)

    async def until_there_is(self, number: int) -> None:
        """Wait until the line of this number has come."""
        while self._end <= number:
            await self._more.wait()


@frozen
class Piece:
    """A few lines, as somebody read them."""

    lost: int
    """How many were gone, of all kinds, before they could be read."""
    lines: Sequence[Line]
    following: int
    """The number of the line after them."""
