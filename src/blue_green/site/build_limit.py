"""The limit of builds that run at once, over all sites.

A build can use all of a small machine: one after the other takes no longer than all at once, and
leaves more for the requests. After a start of the supervisor, the last releases of all sites go
first, because a site without one can only hold its requests.
"""

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import trio

RESTORE_PATIENCE = 60.0
"""Seconds after which a build begins although a site is still being restored."""


class BuildLimit:
    """Lets so many builds run at once. The others wait in their order."""

    def __init__(self, at_once: float = math.inf) -> None:
        self._limiter = trio.CapacityLimiter(at_once)
        self._restoring = 0
        self._restored = trio.Event()
        self._restored.set()

    def use(self, at_once: float) -> None:
        """Let so many builds run at once from now on; those that run go on."""
        self._limiter.total_tokens = at_once

    @contextmanager
    def restoring(self) -> Iterator[None]:
        """While a site is restored in this block, no build begins."""
        self._restoring += 1
        if self._restored.is_set():
            self._restored = trio.Event()
        try:
            yield
        finally:
            self._restoring -= 1
            if not self._restoring:
                self._restored.set()

    async def acquire(self, waiting: AbstractContextManager[None] | None = None) -> None:
        """Wait until a build may begin, inside the block `waiting` if it has to wait.

        `release` must follow, in the same task.
        """
        try:
            if self._restoring:
                raise trio.WouldBlock
            self._limiter.acquire_nowait()
        except trio.WouldBlock:
            with waiting or nullcontext():
                with trio.move_on_after(RESTORE_PATIENCE):
                    await self._restored.wait()
                await self._limiter.acquire()

    def release(self) -> None:
        """End a build."""
        self._limiter.release()
