"""A live backend that ended although nobody had asked it to, and when it is started again.

One that has answered requests, or has lived for a while, is started again at once: a request that
kills it, however often it comes, is no reason to keep all others waiting. Only deaths in a row that
follow no answer make the delays grow. The first two of these are free, since a request that was
retried kills two backends.
"""

from collections.abc import Sequence

from attrs import frozen

FIRST_DELAY = 0.5
LONGEST_DELAY = 30.0
STABLE = 10.0
"""Seconds after which a healthy backend counts as one that works, also without requests."""
FREE_DEATHS = 2
"""Deaths in a row after which it is started again without a delay."""
TOO_MANY_DEATHS = 6
"""Deaths in a row after which requests are refused at once instead of waiting."""
SHORTEST_LIFE = 0.1
"""Seconds between two starts at least, so that one that dies at once does not keep us busy."""


@frozen
class Crash:
    """One death of a live backend, or one start of it that failed."""

    slot: str
    port: int
    revision: str
    deaths: int
    """In a row without an answer in between, with this one."""
    reason: str
    """How it ended, or why it did not start."""
    output: Sequence[str] = ()
    """Its last lines."""

    @property
    def delay(self) -> float:
        """Seconds to wait before starting it again."""
        if self.deaths <= FREE_DEATHS:
            return 0.0
        return min(FIRST_DELAY * 2.0 ** (self.deaths - FREE_DEATHS - 1), LONGEST_DELAY)
