"""A live backend that ended although nobody had asked it to, and when it is started again."""

from collections.abc import Sequence

from attrs import frozen

FIRST_DELAY = 0.5
LONGEST_DELAY = 30.0
STABLE = 10.0
"""Seconds of life after which a death is a first death again."""
TOO_MANY_DEATHS = 5
"""Deaths in a row after which requests are refused at once instead of waiting."""


@frozen
class Crash:
    """One death of a live backend, or one start of it that failed."""

    slot: str
    port: int
    revision: str
    deaths: int
    """In a row, with this one."""
    reason: str
    """How it ended, or why it did not start."""
    output: Sequence[str] = ()
    """Its last lines."""

    @property
    def delay(self) -> float:
        """Seconds to wait before starting it again."""
        if self.deaths <= 1:
            return 0.0
        return min(FIRST_DELAY * 2.0 ** (self.deaths - 2), LONGEST_DELAY)
