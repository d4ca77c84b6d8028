"""An interactive shell on a pseudoterminal, typed into as a person would."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.waiting import PATIENCE


class TypedTerminal:
    """The other side of the pseudoterminal."""

    def __init__(self, master: int) -> None:
        self.master = master
        self.seen = ""
        """What the terminal has shown since the last `until`."""

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def until(self, pattern: str) -> "re.Match[str]":
        """Wait until the terminal shows this, and forget what it showed before its end."""
        deadline = time.monotonic() + PATIENCE
        while (found := re.search(pattern, self.seen)) is None:
            left = deadline - time.monotonic()
            assert left > 0, f"no {pattern!r} in {self.seen!r}"
            if select.select([self.master], [], [], left)[0]:
                self.seen += os.read(self.master, 65536).decode(errors="replace")
        self.seen = self.seen[found.end() :]
        return found

    def modes(self) -> Sequence[Any]:
        """The modes of the terminal (termios(3))."""
        return termios.tcgetattr(self.master)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


@contextmanager
def shell(directory: Path, **env: str) -> Iterator[TypedTerminal]:
    """A bash with job control, until the block ends."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        ["bash", "--norc", "--noprofile", "-i"],
        cwd=directory,
        env={**os.environ, "PS1": "$ ", "TERM": "dumb", "HISTFILE": "", **env},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509
    )
    os.close(slave)
    terminal = TypedTerminal(master)
    try:
        terminal.until(r"\$ $")
        yield terminal
    finally:
        os.close(master)
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGCONT)
        process.wait(PATIENCE)
