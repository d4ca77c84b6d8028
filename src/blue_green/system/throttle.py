"""Work that takes long waits in line for it, so that all others have their turn between.

Every connection that is ready gets its turn in each round of the event loop, and its answer may
take several rounds. A round must stay short, however many connections have much to do: those who
have done more than is usual at once go on a few in each round, in the order in which they came.
"""

import trio

IN_EACH_ROUND = 4

_places = trio.Semaphore(IN_EACH_ROUND)


async def wait() -> None:
    """Wait for a place in a round, behind all who wait already. Without others, that is the next.

    What is done then, before the next wait of any kind, should take less than half a millisecond.
    """
    await _places.acquire()  # It lasts to the next round, also where a place was free.
    _places.release()
