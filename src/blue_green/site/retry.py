"""Retries of swaps that failed through no fault of their revision, with growing delays."""

import trio
from attrs import frozen

from blue_green.site.deploy_request import DeployRequest
from blue_green.system import backoff

FIRST_DELAY = 2.0
LONGEST_DELAY = 600.0
"""Seconds."""


@frozen
class Retry:
    """A swap that will be retried, unless another deploy is requested first."""

    request: DeployRequest
    reason: str
    """Why it failed."""
    failures: int
    """Consecutive failures."""
    due: float
    """On trio's clock."""

    @property
    def revision(self) -> str:
        return self.request.revision

    @property
    def seconds_left(self) -> float:
        return max(0.0, self.due - trio.current_time())


def delay_after(failures: int) -> float:
    """Seconds to wait after so many failures in a row."""
    return backoff.delay_after(failures, first=FIRST_DELAY, longest=LONGEST_DELAY)
