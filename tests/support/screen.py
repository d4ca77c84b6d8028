"""A terminal for the tests: a command runs in it, and what it shows can be read."""

import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio
import trio.testing

from tests.waiting import until

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Screen:
    """What the command has written, and the keyboard."""

    def __init__(self, master: int, process: subprocess.Popen[bytes]) -> None:
        self._master = master
        self._process = process
        self.raw = ""

    @property
    def text(self) -> str:
        """Without colours and movement."""
        return ESCAPE.sub("", self.raw).replace("\r", "")

    @property
    def frame(self) -> str:
        """What it has drawn since it last began at the top of the screen."""
        return ESCAPE.sub("", self.raw.rpartition("\x1b[H")[2]).replace("\r", "")

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    async def until_shown(self, text: str) -> None:
        """Wait until all that was written has this somewhere."""
        await self._until(text, lambda: self.text)

    async def until_drawn(self, text: str) -> None:
        """Wait until what is drawn has this."""
        await self._until(text, lambda: self.frame)

    async def ended(self) -> int:
        """Wait for the end of the command; its exit status."""
        await until("the command has ended", lambda: self._process.poll() is not None)
        await trio.testing.wait_all_tasks_blocked()  # All that it wrote has been read.
        return self._process.returncode

    async def read(self) -> None:
        """Take what the command writes, until nobody has the terminal any more."""
        while True:
            await trio.lowlevel.wait_readable(self._master)
            try:
                self.raw += os.read(self._master, 65536).decode(errors="replace")
            except OSError:  # EIO, pty(7): the other end is closed.
                return

    async def _until(self, text: str, look: Callable[[], str]) -> None:
        try:
            await until(f"{text!r} on the screen", lambda: text in look())
        except AssertionError as error:
            raise AssertionError(f"{error}; it shows:\n{look()}") from None


@asynccontextmanager
async def on_screen(*words: str, **env: str) -> AsyncIterator[Screen]:
    """Run a command of ours in a terminal of 30 lines by 100 columns, while the block lasts."""
    master, terminal = os.openpty()
    variables = {**os.environ, "TERM": "xterm-256color", "PYTHONUTF8": "1", **env}
    for name in ("NO_COLOR", "COLUMNS", "LINES"):
        if name not in env:
            variables.pop(name, None)
    # A session with the terminal as its own: ^C and its size are told to those in it.
    process = subprocess.Popen(
        ["setsid", "--ctty", sys.executable, "-m", "blue_green", *words],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env=variables,
    )
    os.close(terminal)
    screen = Screen(master, process)
    screen.resize(30, 100)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(screen.read)
            yield screen
            nursery.cancel_scope.cancel()
    finally:
        os.close(master)
        process.kill()
        process.wait()
