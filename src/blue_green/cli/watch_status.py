"""`status --watch`: the status, kept up to date until ^C.

A supervisor that goes away is waited for. A terminal that cannot draw a screen, and a pipe, get the
status anew each time that it reads differently.
"""

import json
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from blue_green.cli import display
from blue_green.cli.command import OK
from blue_green.cli.terminal import Look
from blue_green.control import client

EVERY = 1.0
PATIENCE = 5.0
"""Seconds after which a supervisor that does not answer is said not to."""


def watch(path: Path, *, as_json: bool) -> int:
    """Show the status of the supervisor at this socket again and again; the exit status."""
    try:
        with _resizes() as wait:
            if as_json:
                _repeat(lambda: _json(path), wait)
            elif Look.of(sys.stdout).moves:
                _draw(path, wait)
            else:
                _repeat(lambda: _text(path, Look.of(sys.stdout)), wait)
    except KeyboardInterrupt:
        pass
    return OK


def _draw(path: Path, wait: Callable[[], None]) -> None:
    # Colours are made by us; what rich adds is the screen, and how it is left again.
    with Live(
        console=Console(highlight=False),
        screen=True,
        auto_refresh=False,
        redirect_stdout=False,
        redirect_stderr=False,
    ) as live:
        while True:
            text = _text(path, Look.of(sys.stdout))
            live.update(Text.from_ansi(text, no_wrap=True, overflow="crop"), refresh=True)
            wait()


def _repeat(show: Callable[[], str], wait: Callable[[], None]) -> None:
    """Print it each time that it is different."""
    before = ""
    while True:
        text = show()
        if text != before:
            print(text, flush=True)
            before = text
        wait()


def _json(path: Path) -> str:
    try:
        return json.dumps(_ask(path))
    except (client.NoSupervisor, client.Lost) as error:
        return json.dumps({"error": str(error)})


def _text(path: Path, look: Look) -> str:
    clock = time.strftime("%H:%M:%S")
    try:
        lines = display.status(_ask(path), look)
    except (client.NoSupervisor, client.Lost) as error:
        dot = "○" if look.unicode else "*"
        lines = [look.line((f"{dot} no answer from the supervisor", "bold red"))]
        lines += look.wrapped(2, str(error))
        lines += look.wrapped(2, "It is looked for again each second.", "dim")
    if not look.moves:
        return "\n".join([*lines, ""])
    return "\n".join([*lines, "", look.line((f"{clock}, each second; ^C ends this", "dim"))])


def _ask(path: Path) -> dict[str, Any]:
    *_, result = client.ask(path, {"command": "status"}, patience=PATIENCE)
    if result.pop("event") == "error":
        raise client.Lost(result["error"])
    return result


@contextmanager
def _resizes() -> Iterator[Callable[[], None]]:
    """What waits for a moment, or until the terminal has another size."""
    wakes, waker = socket.socketpair()
    with wakes, waker:
        waker.setblocking(False)
        wakes.setblocking(False)
        # A handler of ours must not draw: it may come in the middle of drawing.
        handler = signal.signal(signal.SIGWINCH, lambda *_: None)
        descriptor = signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)

        def wait() -> None:
            if select.select([wakes], [], [], EVERY)[0]:
                wakes.recv(4096)

        try:
            yield wait
        finally:
            signal.set_wakeup_fd(descriptor)
            signal.signal(signal.SIGWINCH, handler)
