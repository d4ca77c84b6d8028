"""Waits that end: with what was awaited, or with what was seen until then."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import trio

PATIENCE = 10.0


@contextmanager
def patience(what: str, seen: Callable[[], object]) -> Iterator[None]:
    """Give up after a while, and say what was seen until then."""
    with trio.move_on_after(PATIENCE) as scope:
        yield
    if scope.cancelled_caught:
        raise AssertionError(f"{what}: not within {PATIENCE:g} s; last seen: {seen()!r}")
