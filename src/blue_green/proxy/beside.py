"""Work beside other work, such as an upload beside its answer."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio


@asynccontextmanager
async def beside(work: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Do the work beside the block, and give it up when the block ends.

    The work raises nothing, so what the block raises need not travel in a group.
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
