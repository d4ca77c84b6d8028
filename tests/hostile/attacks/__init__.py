"""What attackers do, one file for each part of the program that it is aimed at."""

import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import trio

from tests.hostile.target import TargetSite

CONNECTIONS = 40
AGAIN = 0.05
"""Seconds after which a connection that was ended is opened again."""


async def on_each_connection(
    target: TargetSite, attack: Callable[[trio.SocketStream], Awaitable[None]]
) -> None:
    """Attack over forty connections at once, and again whenever one has ended."""

    async def one() -> None:
        while True:
            try:
                async with await target.connect() as stream:
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
