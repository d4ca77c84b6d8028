"""A swap that failed through no fault of its revision is tried again, ever more rarely."""

import trio
from attrs import frozen

from blue_green.site.trigger import Trigger

FIRST_DELAY = 2.0
LONGEST_DELAY = 600.0
"""Seconds."""


@frozen
class Retry:
    """A swap that will be tried again, unless something else is wanted first."""

    revision: str
    reason: str
    """Why it failed."""
    trigger: Trigger
    is_head: bool
    """HEAD of the checkout moved to it."""
    is_forced: bool
    """It was asked for with `--retry`."""
    is_rebuild: bool
    """It was asked for with `--rebuild`."""
    failures: int
    """In a row."""
    due: float
    """On trio's clock."""

    @property
    def seconds_left(self) -> float:
        return max(0.0, self.due - trio.current_time())


def delay_after(failures: int) -> float:
    """Seconds to wait after so many failures in a row."""
    return min(FIRST_DELAY * 2.0 ** min(failures - 1, 20), LONGEST_DELAY)
