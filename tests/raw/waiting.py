"""Waits that end: with what was awaited, or with what was seen until then."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import trio
import trio.testing

from tests.waiting import until

PATIENCE = 10.0


@contextmanager
def patience(what: str, seen: Callable[[], object]) -> Iterator[None]:
    """Give up after a while, and say what was seen until then."""
    with trio.move_on_after(PATIENCE) as scope:
        yield
    if scope.cancelled_caught:
        raise AssertionError(f"{what}: not within {PATIENCE:g} s; last seen: {seen()!r}")


async def until_still(count: Callable[[], int]) -> None:
    """Wait until it goes up no more, since all buffers on the way are full."""

    async def is_still() -> bool:
        before = count()
        await trio.sleep(0.2)
        return count() == before

    await until("nothing moves", is_still)
