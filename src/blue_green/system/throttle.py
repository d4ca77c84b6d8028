"""A throttle for tasks with much work, so that the event loop stays responsive.

In each iteration the event loop runs every task that is ready, and a response may take several
iterations. So an iteration must stay short, however many connections have much to do: tasks with
more work than usual go on a few per iteration, first in, first out.
"""

import trio

TASKS_PER_ITERATION = 4

_permits = trio.Semaphore(TASKS_PER_ITERATION)
_long_permits = trio.Semaphore(1)


async def wait() -> None:
    """Wait for an iteration of the event loop in which this task may go on, at least the next.

    The work until the task's next checkpoint should take less than half a millisecond.
    """
    await _permits.acquire()  # A checkpoint: it lasts to the next iteration in any case.
    _permits.release()


async def wait_for_long() -> None:
    """The same before work that cannot be divided and takes some milliseconds.

    Only one task goes on with such work per iteration.
    """
    await _long_permits.acquire()
    _long_permits.release()
