"""What attackers do, one file for each part of the program that it is aimed at."""

import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import trio

from blue_green.control.messages import encode
from tests.hostile.target import TargetSite

ADDRESS = "127.0.0.2"
"""Where an attacker may connect from: not where polite clients do."""
CONNECTIONS = 40
AGAIN = 0.05
"""Seconds after which a connection that was ended is opened again."""


async def on_each_connection(
    target: TargetSite,
    attack: Callable[[trio.SocketStream], Awaitable[None]],
    address: str | None = None,
) -> None:
    """Attack over forty connections at once, and again whenever one has ended."""

    async def one() -> None:
        while True:
            try:
                async with await target.connect(address) as stream:
                    await attack(stream)
            except (OSError, trio.BrokenResourceError):
                pass  # It was refused or ended, as may well be right.
            await trio.sleep(AGAIN)

    async with trio.open_nursery() as nursery:
        for _ in range(CONNECTIONS):
            nursery.start_soon(one)


async def in_threads(attack: Callable[[], None], pause: float = AGAIN) -> None:
    """Attack in forty threads, again and again, for as long as this process lives."""

    def one() -> None:
        while True:
            with suppress(OSError):  # It was refused or ended, as may well be right.
                attack()
            time.sleep(pause)

    for _ in range(CONNECTIONS):
        threading.Thread(target=one, daemon=True).start()
    await trio.sleep_forever()


async def command(target: TargetSite, message: dict[str, object]) -> None:
    """Send a command to the supervisor."""
    async with await trio.open_unix_socket(str(target.state / "control.sock")) as stream:
        await stream.send_all(encode(message))
        await stream.receive_some()
