"""Whether the time that work takes is in proportion to its input."""

import time
from collections.abc import Callable

SHORT = 400
LONG = 5000
NOTHING = 0.004
"""Seconds that are no harm: what is linear takes a tenth of it for the longer input."""

MOST_TIMES = 3 * LONG / SHORT
"""How much longer the longer input may take. Squared, it would be 156 times."""


def took(work: Callable[[], object]) -> float:
    """Seconds, at best; nothing if it was over at once."""
    best = 1.0
    for _ in range(3):
        began = time.thread_time()
        work()
        best = min(best, time.thread_time() - began)
        if best < NOTHING:
            return 0.0
    return best


def check(what: str, work: Callable[[str], object], short: str, long: str) -> None:
    at_first = took(lambda: work(short))
    assert at_first == 0.0, f"{what}: {at_first:.3f} s for {len(short)} characters"
    at_last = took(lambda: work(long))
    if at_last:
        began = time.thread_time()
        for _ in range(20):
            work(short)
        per_short = (time.thread_time() - began) / 20
        assert at_last / per_short < MOST_TIMES, f"{what}: {at_last:.3f} s for {long[:60]!r}..."
