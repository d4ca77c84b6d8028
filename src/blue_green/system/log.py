"""The log, on standard error.

Three kinds of lines share it: our own messages (through `logging`), the output of the backends,
and one line for each request. Where several sites are served, our messages about one begin with
its name: the tasks of a site run inside `about`. A thread writes the log: a terminal or a journal
that does not read must never block the event loop. Lines queue up to a limit; beyond it they are
lost, and the log says how many.
"""

import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from sys import getsizeof

from blue_green.system import systemd
from blue_green.system.printable import printable

ROOM = 16 * 1024 * 1024
"""Bytes of memory for lines that wait to be written."""
MAX_LINES_AT_ONCE = 250
MAX_BYTES_AT_ONCE = 64 * 1024
"""Limits of one write, the latter by the average size of the lines: a write copies them twice."""
BATCH_INTERVAL = 0.02
"""Seconds for which the thread lets lines accumulate: while it runs, the event loop does not."""
FLUSH_TIMEOUT = 1.0
"""Seconds to write the waiting lines at the end."""
PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3}
"""The priority for journald, as `<n>` at the beginning of a line (sd-daemon(3))."""


_site: ContextVar[str] = ContextVar("site", default="")


@contextmanager
def about(site: str) -> Iterator[None]:
    """Begin all messages in the block, and in the tasks that start in it, with a site's name.

    An empty name adds nothing.
    """
    token = _site.set(site)
    try:
        yield
    finally:
        _site.reset(token)


class Sink:
    """Writes lines to a descriptor in a thread."""

    def __init__(self, descriptor: int, *, journal: bool = False) -> None:
        self._descriptor = descriptor
        self._journal = journal
        self._lock = threading.Lock()
        """Protects the next four attributes."""
        self._waiting: deque[str] = deque()
        """Each entry is one line, or several that came together."""
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
        """Write one line, after the time unless it is `bare`. Never waits."""
        start = "" if bare and not self._journal else self._start(level)
        self._add(f"{start}{printable(text)}\n", 1)

    def lines(self, label: str, texts: Sequence[str]) -> None:
        """Write lines that are printable already, each after the label. Never waits."""
        start = f"{self._start(logging.INFO)}{label} | "
        between = f"\n{start}"
        self._add(f"{start}{between.join(texts)}\n", len(texts))

    def _start(self, level: int) -> str:
        """The beginning of each line: the journald priority, or the time."""
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
        """Wait until all lines are written, for at most a second."""
        deadline = time.monotonic() + FLUSH_TIMEOUT
        while (self._waiting or self._is_writing) and time.monotonic() < deadline:
            time.sleep(BATCH_INTERVAL / 4)

    def close(self) -> None:
        """Write the waiting lines, for at most a second, and end the thread."""
        self._closing = True
        self._more.set()
        self._thread.join(FLUSH_TIMEOUT)

    def _write_all(self) -> None:
        while not (self._closing and not self._waiting):
            self._more.wait()
            if not self._closing:
                time.sleep(BATCH_INTERVAL)
            self._more.clear()
            while lines := self._take():
                self._write(lines)
            with self._lock:
                lost, self._lost = self._lost, 0
            if lost:
                self._write(f"{lost} lines of the log were lost: it is not read fast enough\n")

    def _take(self) -> str:
        """Take some of the waiting lines, to be written at once."""
        with self._lock:
            count = min(len(self._waiting), MAX_LINES_AT_ONCE)
            if self._size > MAX_BYTES_AT_ONCE:
                count = min(count, 1 + MAX_BYTES_AT_ONCE * len(self._waiting) // self._size)
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
            # Standard error is closed, and there is nowhere else to report that. The site goes on.
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
        if site := _site.get():
            first = f"{site}: {first}"
        if record.levelno >= logging.WARNING:
            first = f"{record.levelname.lower()}: {first}"
        yield first
        yield from (f"    {line}" for line in rest)


_sink: Sink | None = None


@contextmanager
def to_stderr() -> Iterator[None]:
    """Log to standard error inside the block."""
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
    """Write the waiting lines, before another program replaces this one."""
    if _sink is not None:
        _sink.flush()


def output(label: str, lines: Sequence[str]) -> None:
    """Log output of a program, after a label. The lines are printable already."""
    if _sink is not None and lines:
        _sink.lines(label, lines)


def request(line: str, *, bare: bool) -> None:
    """Log a request; `bare` if the line contains its time, as a JSON object does."""
    if _sink is not None:
        _sink.line(line, bare=bare)
