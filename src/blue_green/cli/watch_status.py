"""`status --watch`: the status, refreshed until ^C.

It survives a restart of the supervisor. A dumb terminal, or a pipe, gets the whole status each time
that it has changed.
"""

import json
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from blue_green.cli import site_list
from blue_green.cli.command import OK
from blue_green.cli.terminal import Style
from blue_green.control import client
from blue_green.control.client import ControlSocket

INTERVAL = 1.0
ANSWER_TIMEOUT = 5.0
"""Seconds to wait for the supervisor before saying that it does not answer."""

Ask = Callable[[], dict[str, Any]]
"""Ask the supervisor for its status."""


def watch(to: ControlSocket, request: dict[str, Any], *, as_json: bool) -> int:
    """Show the answer of the supervisor at this socket until ^C; return the exit status."""
    ask = partial(_ask, to, request)
    try:
        with _resizes() as wait:
            if as_json:
                _repeat(lambda: _json(ask), wait)
            elif Style.of(sys.stdout).can_redraw:
                _draw(ask, wait)
            else:
                _repeat(lambda: _text(ask, Style.of(sys.stdout)), wait)
    except KeyboardInterrupt:
        pass
    return OK


def _draw(ask: Ask, wait: Callable[[], None]) -> None:
    # The text has its colours already: rich switches to the alternate screen and back.
    with Live(
        console=Console(highlight=False),
        screen=True,
        auto_refresh=False,
        redirect_stdout=False,
        redirect_stderr=False,
    ) as live:
        while True:
            text = _text(ask, Style.of(sys.stdout))
            live.update(Text.from_ansi(text, no_wrap=True, overflow="crop"), refresh=True)
            wait()


def _repeat(show: Callable[[], str], wait: Callable[[], None]) -> None:
    """Print it each time that it has changed."""
    before = ""
    while True:
        text = show()
        if text != before:
            print(text, flush=True)
            before = text
        wait()


def _json(ask: Ask) -> str:
    try:
        return json.dumps(ask())
    except (client.NoSupervisor, client.ConnectionLost) as error:
        return json.dumps({"error": str(error)})


def _text(ask: Ask, style: Style) -> str:
    clock = time.strftime("%H:%M:%S")
    try:
        lines = site_list.status(ask(), style)
    except (client.NoSupervisor, client.ConnectionLost) as error:
        dot = "○" if style.unicode else "*"
        lines = [style.line((f"{dot} no answer from the supervisor", "bold red"))]
        lines += style.wrapped(2, str(error))
        lines += style.wrapped(2, "Trying again every second.", "dim")
    if not style.can_redraw:
        return "\n".join([*lines, ""])
    return "\n".join(
        [*lines, "", style.line((f"{clock}, refreshed every second; ^C to exit", "dim"))]
    )


def _ask(to: ControlSocket, request: dict[str, Any]) -> dict[str, Any]:
    *_, result = client.ask(to, request, timeout=ANSWER_TIMEOUT)
    if result.pop("event") == "error":
        raise client.ConnectionLost(result["error"])
    return result


@contextmanager
def _resizes() -> Iterator[Callable[[], None]]:
    """Yield a function that waits for `INTERVAL`, or until the terminal is resized."""
    wakes, waker = socket.socketpair()
    with wakes, waker:
        waker.setblocking(False)
        wakes.setblocking(False)
        # The handler must not draw itself: the signal may come in the middle of drawing.
        handler = signal.signal(signal.SIGWINCH, lambda *_: None)
        descriptor = signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)

        def wait() -> None:
            if select.select([wakes], [], [], INTERVAL)[0]:
                wakes.recv(4096)

        try:
            yield wait
        finally:
            signal.set_wakeup_fd(descriptor)
            signal.signal(signal.SIGWINCH, handler)
