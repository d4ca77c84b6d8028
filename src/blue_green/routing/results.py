"""The results of one release: how fast its responses were, and how many requests failed.

A response time is the time from the lease until the response's head. Streams have none: an event
stream may send its head with its first event. Requests with a 4xx are the fault of their client,
and so are those with a 501 or a 505, about a method and a version of HTTP that only a client would
choose: they have a response time, but count neither as good nor as failed.
"""

from bisect import bisect_left
from typing import TYPE_CHECKING

from attrs import define, field, frozen, validators

from blue_green.routing.metrics import Histogram
from blue_green.system.ranges import is_number

if TYPE_CHECKING:
    from blue_green.routing.client_limits import ClientLimits

_PREFERRED = (1.0, 1.25, 1.6, 2.0, 2.5, 3.15, 4.0, 5.0, 6.3, 8.0)

RESPONSE_SECONDS = tuple(
    round(number * 10**decade, 9) for decade in range(-3, 2) for number in _PREFERRED
)[:49]
"""1 ms to 63 s in steps of at most 28 %: the preferred numbers R10 of ISO 3. So the middle of a
bucket is at most 14 % from any value in it."""


OF_THE_CLIENT = (501, 505)
"""Statuses that speak of the request, besides 4xx: its method, or its version of HTTP."""


@frozen
class Counts:
    """How many requests had a result, and how many of these failed."""

    requests: int = 0
    failed: int = 0

    @property
    def share(self) -> float:
        """The share of requests that failed; 0 if there were none."""
        return self.failed / self.requests if self.requests else 0.0

    def __sub__(self, earlier: "Counts") -> "Counts":
        return Counts(self.requests - earlier.requests, self.failed - earlier.failed)


@frozen
class ResultSummary:
    """Results in a few numbers. The fields are keys of JSON objects, and must not be renamed."""

    requests: int = field(validator=is_number)
    failed: int = field(validator=is_number)
    p50: float | None = field(default=None, validator=validators.optional(is_number))
    """The median of the response times, in seconds; None if there were none."""
    p95: float | None = field(default=None, validator=validators.optional(is_number))

    def __attrs_post_init__(self) -> None:
        if (self.p50 is None) != (self.p95 is None):
            raise ValueError("p50 and p95 come together")

    def as_dict(self) -> dict[str, float | None]:
        p50, p95 = (None if p is None else round(p, 5) for p in (self.p50, self.p95))
        return {"requests": self.requests, "failed": self.failed, "p50": p50, "p95": p95}


def is_failure(status: int) -> bool:
    """Whether a response with this status is a failure of the app."""
    return status >= 500 and status not in OF_THE_CLIENT


@define(eq=False)
class Results:
    """The results of a release, which all of its targets share."""

    times: Histogram = field(factory=lambda: Histogram(RESPONSE_SECONDS))
    """The response times, in seconds."""
    responses: int = 0
    """All responses, including streams."""
    rejected: int = 0
    """Responses with a 4xx, 501 or 505."""
    errors: int = 0
    """Responses with another 5xx."""
    broken: int = 0
    """Responses that were cut short by the app, and are not among the errors."""
    unanswered: int = 0
    """Requests that failed without a response."""
    given_up: Histogram = field(factory=lambda: Histogram(RESPONSE_SECONDS))
    """How long requests had waited for a response when their client disconnected, in seconds."""
    limits: "ClientLimits | None" = None
    """Those for each client, while a verdict may come."""

    def add(self, status: int, seconds: float) -> None:
        """Count a response that has begun."""
        times = self.times  # Written out: each request pays for it.
        times.counts[bisect_left(RESPONSE_SECONDS, seconds)] += 1
        times.total += seconds
        self.responses += 1
        if status >= 400:
            self._count_error(status)

    def add_stream(self, status: int) -> None:
        """Count a stream that has begun."""
        self.responses += 1
        if status >= 400:
            self._count_error(status)

    def fail(self, status: int) -> None:
        """Count a request that failed after its response began with this status, or before: 0."""
        if not status:
            self.unanswered += 1
        elif status < 400:
            self.broken += 1

    def _count_error(self, status: int) -> None:
        if is_failure(status):
            self.errors += 1
        else:
            self.rejected += 1

    @property
    def counts(self) -> Counts:
        """The requests with a result, and those that failed."""
        return Counts(
            self.responses - self.rejected + self.unanswered,
            self.errors + self.broken + self.unanswered,
        )

    def copy(self) -> "Results":
        """A copy that later requests do not change."""
        return self.since(Results())

    def since(self, earlier: "Results") -> "Results":
        """What was added after `earlier`, which is an older copy."""
        return Results(
            self.times.since(earlier.times),
            responses=self.responses - earlier.responses,
            rejected=self.rejected - earlier.rejected,
            errors=self.errors - earlier.errors,
            broken=self.broken - earlier.broken,
            unanswered=self.unanswered - earlier.unanswered,
            given_up=self.given_up.since(earlier.given_up),
        )

    def summary(self) -> ResultSummary:
        counts, times = self.counts, self.times
        return ResultSummary(
            counts.requests, counts.failed, times.quantile(0.5), times.quantile(0.95)
        )
