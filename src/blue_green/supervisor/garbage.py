"""When the garbage collector visits all objects: 100 ms for some thousand requests in progress.

By itself it does so whenever there are a quarter more objects than the last time, and so most often
while a crowd of clients arrives. Requests leave little for it.
"""

import gc

import trio

INTERVAL = 30.0
"""Seconds."""
NEVER = 10**6
DUE = 10
"""Young collections after which Python would do it."""


def defer_full_collections() -> None:
    """Keep Python from collecting old garbage by itself.

    Everything loaded so far stays. Scanning it for garbage would block requests for 10 ms.
    """
    gc.freeze()
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, NEVER)


async def collect_now_and_then() -> None:
    """Collect old garbage at this interval, until cancelled."""
    while True:
        await trio.sleep(INTERVAL)
        if gc.get_count()[2] > DUE:
            gc.collect()
