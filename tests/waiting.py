"""Wait until something is so, with an end."""

from collections.abc import Awaitable, Callable
from typing import Any

import trio

PATIENCE = 40.0
"""Seconds after which a test that waits gives up, and says what it saw. On a machine with two cores
and ten times as much to do, a start alone has taken twenty."""
SOONEST, LATEST = 0.002, 0.02
"""Seconds between two looks, at first and later: looks must not keep a slow machine busy."""


async def until(
    what: str,
    condition: Callable[[], Awaitable[Any]] | Callable[[], Any],
    timeout: float = PATIENCE,
) -> Any:
    """Wait until the condition gives something true, and give that; fail with what it gave last."""
    seen: Any = None
    pause = SOONEST
    with trio.move_on_after(timeout):
        while True:
            seen = condition()
            if isinstance(seen, Awaitable):
                seen = await seen
            if seen:
                return seen
            await trio.sleep(pause)
            pause = min(pause * 1.1, LATEST)
    raise AssertionError(f"{what}: not within {timeout:g} s; last seen: {seen!r}")
