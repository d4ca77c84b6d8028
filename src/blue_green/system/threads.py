"""Worker threads for what may block.

A file system that hangs keeps a thread for ever, even if nobody waits for it any more. So each site
has a limit of its own: it may run out of threads, and the others do not notice.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar, TypeVarTuple, Unpack

import trio

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

MAX_OF_SITE = 10
"""Threads that a site may have at once."""

_limiter: ContextVar[trio.CapacityLimiter | None] = ContextVar("limiter", default=None)


def of_site() -> trio.CapacityLimiter:
    """The limit of a further site."""
    return trio.CapacityLimiter(MAX_OF_SITE)


@contextmanager
def limited_by(limiter: trio.CapacityLimiter) -> Iterator[None]:
    """Let this limit apply to the block, and to the tasks that start in it."""
    token = _limiter.set(limiter)
    try:
        yield
    finally:
        _limiter.reset(token)


async def run(
    function: Callable[[Unpack[Ts]], T], *arguments: *Ts, abandon_on_cancel: bool = False
) -> T:
    """Run a function in a thread, within the limit that applies here."""
    return await trio.to_thread.run_sync(
        function, *arguments, abandon_on_cancel=abandon_on_cancel, limiter=_limiter.get()
    )
