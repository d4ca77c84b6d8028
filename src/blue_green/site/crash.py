"""A crash of a live backend or of a process, and the delay before its restart.

A backend that has answered requests, or has run for a while, is restarted at once: a request that
kills it again and again must not make all others wait. Only deaths in a row without any response
between them make the delays grow. The first two are free, since a retried request kills two
backends.
"""

from collections.abc import Sequence

from attrs import frozen

from blue_green.config.kinds import Endpoint
from blue_green.system.backoff import delay_after

FIRST_DELAY = 0.5
LONGEST_DELAY = 30.0
STABLE = 10.0
"""Seconds after which a healthy backend or a process counts as working, even without requests."""
FREE_DEATHS = 2
"""Deaths in a row after which a backend is restarted without delay."""
TOO_MANY_DEATHS = 6
"""Deaths in a row after which requests are refused at once instead of waiting."""
SHORTEST_LIFE = 0.1
"""Minimum seconds between two starts: a backend that dies at once must not keep us busy."""


@frozen
class Crash:
    """A death of a live backend or of a process, or a failed start."""

    slot: str
    address: Endpoint | None
    """None for a process."""
    revision: str
    deaths: int
    """Consecutive crashes without a response between them, including this one."""
    reason: str
    """How it ended, or why it did not start."""
    output: Sequence[str] = ()
    """Its last lines of output."""
    process: str = ""
    """The name of the process, if it was not a backend."""

    @property
    def delay(self) -> float:
        """Seconds to wait before the restart."""
        if self.deaths <= FREE_DEATHS:
            return 0.0
        return delay_after(self.deaths - FREE_DEATHS, first=FIRST_DELAY, longest=LONGEST_DELAY)
