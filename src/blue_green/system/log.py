"""What the supervisor says, one line a thing, to standard error.

Three kinds of lines share it: our own messages (through `logging`), the output of the backends,
and one line for each request. A thread does the writing: a terminal or a journal that does not
read must never stop the loop that serves requests. Lines wait up to a bound; what goes over it
is lost, counted, and told.
"""

import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from sys import getsizeof

from blue_green.system import systemd
from blue_green.system.printable import printable

ROOM = 16 * 1024 * 1024
"""Bytes of memory for lines that wait to be written."""
AT_ONCE = 250
PIECE = 64 * 1024
"""Of what waits, by number, and by the average in bytes, what is written at once: it takes memory
twice again."""
GATHER = 0.02
"""Seconds for which the writing thread lets lines gather: its turns are lost to the loop."""
LAST_WORDS = 1.0
"""Seconds for what still waits at the end."""
PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3}
"""What journald takes from a line that begins with `<n>` (sd-daemon(3))."""


class Sink:
    """Lines to a descriptor, written by a thread of its own."""

    def __init__(self, descriptor: int, *, journal: bool = False) -> None:
        self._descriptor = descriptor
        self._journal = journal
        self._lock = threading.Lock()
        """Whoever has it may change the next four."""
        self._waiting: deque[str] = deque()
        """Each is one line, or several that came together."""
        self._size = 0
        self._lost = 0
        self._is_writing = False
        self._more = threading.Event()
        self._closing = False
        self._second = 0
        self._clock = ""
        self._thread = threading.Thread(target=self._write_all, name="log", daemon=True)
        self._thread.start()

    def line(self, text: str, level: int = logging.INFO, *, bare: bool = False) -> None:
        """Say one line, with the time before it unless it is to be bare. Never waits."""
        start = "" if bare and not self._journal else self._start(level)
        self._add(f"{start}{printable(text)}\n", 1)

    def lines(self, tag: str, texts: Sequence[str]) -> None:
        """Say these lines, which are `visible` already, each after the tag. Never waits."""
        start = f"{self._start(logging.INFO)}{tag} | "
        between = f"\n{start}"
        self._add(f"{start}{between.join(texts)}\n", len(texts))

    def _start(self, level: int) -> str:
        """What each line begins with."""
        return f"<{PRIORITIES.get(level, 6)}>" if self._journal else f"{self._time()} "

    def _add(self, lines: str, count: int) -> None:
        size = getsizeof(lines)
        with self._lock:
            if self._size + size > ROOM:
                self._lost += count
                return
            self._size += size
            self._waiting.append(lines)
        if not self._more.is_set():
            self._more.set()

    def _time(self) -> str:
        now = time.time()
        if int(now) != self._second:
            self._second = int(now)
            self._clock = time.strftime("%H:%M:%S", time.localtime(now))
        return f"{self._clock}.{int(now * 1000) % 1000:03d}"

    def flush(self) -> None:
        """Wait until all is written; at most a second, in case nobody reads."""
        deadline = time.monotonic() + LAST_WORDS
        while (self._waiting or self._is_writing) and time.monotonic() < deadline:
            time.sleep(GATHER / 4)

    def close(self) -> None:
        """Write what waits; at most a second, in case nobody reads."""
        self._closing = True
        self._more.set()
        self._thread.join(LAST_WORDS)

    def _write_all(self) -> None:
        while not (self._closing and not self._waiting):
            self._more.wait()
            if not self._closing:
                time.sleep(GATHER)
            self._more.clear()
            while piece := self._take():
                self._write(piece)
            with self._lock:
                lost, self._lost = self._lost, 0
            if lost:
                self._write(f"{lost} lines of the log were lost: it is not read fast enough\n")

    def _take(self) -> str:
        """Some of what waits, to be written at once."""
        with self._lock:
            count = min(len(self._waiting), AT_ONCE)
            if self._size > PIECE:
                count = min(count, 1 + PIECE * len(self._waiting) // self._size)
            lines = [self._waiting.popleft() for _ in range(count)]
            self._size -= sum(map(getsizeof, lines))
            self._is_writing = bool(lines)
        return "".join(lines)

    def _write(self, text: str) -> None:
        data = text.encode(errors="replace")
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError:
            # Nobody reads standard error any more, and there is nowhere else to say so. The
            # site goes on.
            with self._lock:
                self._waiting.clear()
                self._size = 0


class _Handler(logging.Handler):
    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self._sink = sink
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        for text in self._lines(record):
            self._sink.line(text, record.levelno)

    def _lines(self, record: logging.LogRecord) -> Iterator[str]:
        try:
            first, *rest = self.format(record).splitlines() or [""]
        except (TypeError, ValueError):
            self.handleError(record)
            return
        if record.levelno >= logging.WARNING:
            first = f"{record.levelname.lower()}: {first}"
        yield first
        yield from (f"    {line}" for line in rest)


_sink: Sink | None = None


@contextmanager
def to_stderr() -> Iterator[None]:
    """Our own messages, output and requests go to standard error while this lasts."""
    global _sink  # noqa: PLW0603 - there is one standard error
    descriptor = sys.stderr.fileno()
    _sink = Sink(descriptor, journal=systemd.is_journal(descriptor))
    handler = _Handler(_sink)
    root = logging.getLogger("blue_green")
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.removeHandler(handler)
        _sink.close()
        _sink = None


def flush() -> None:
    """Write what waits, before this program ends without further notice."""
    if _sink is not None:
        _sink.flush()


def output(tag: str, lines: Sequence[str]) -> None:
    """Lines that a program of ours wrote, with who it is in front. They are `visible` already."""
    if _sink is not None and lines:
        _sink.lines(tag, lines)


def request(line: str, *, bare: bool) -> None:
    """One answered request; bare if it is an object that says itself when it was."""
    if _sink is not None:
        _sink.line(line, bare=bare)
