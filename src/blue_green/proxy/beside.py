"""Run a task beside a block, such as an upload beside its response."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio


@asynccontextmanager
async def beside(work: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Run `work` beside the block, and cancel it when the block ends.

    The work raises nothing, so exceptions of the block need no group around them.
    """
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(work)
        try:
            yield
        except Exception as error:  # noqa: BLE001 - it is raised again below, on its own
            failure = error
        nursery.cancel_scope.cancel()
    if failure:
        raise failure
