"""How often the event loop goes round."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from attrs import define


@define
class Iterations:
    """A count of the event loop's iterations."""

    count: int = 0

    async def keep_counting(self) -> None:
        while True:
            await trio.lowlevel.checkpoint()
            self.count += 1


@asynccontextmanager
async def counting_iterations() -> AsyncIterator[Iterations]:
    """Count the iterations of the event loop until the block ends."""
    iterations = Iterations()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(iterations.keep_counting)
        yield iterations
        nursery.cancel_scope.cancel()
