"""Limits of what one client contributes to a verdict: no client alone gets a release reverted.

Anybody can send requests that fail, or take long, in every release of a site. So while a verdict
may come, only so many failures and so many slow responses of each client count, and those of
several clients are needed. Good responses count without a limit, so a limit never makes a release
look worse than it is.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from attrs import define, field

from blue_green.routing.metrics import Histogram
from blue_green.routing.results import RESPONSE_SECONDS, Counts, Results, is_failure

MOST_OF_ONE = 3
"""How many results of one kind count for each client."""
FEWEST_CLIENTS = 3
"""How many clients those must come from."""
MOST_CLIENTS = 10_000
"""How many clients are remembered. With so many, there has long been enough to see."""

NameClient = Callable[[], str]
"""Gives the client of a request; empty if many clients may have its address."""


@define(eq=False)
class ClientLimit:
    """The limit for results of one kind."""

    clients: int = 0
    """How many clients have had such a result. Each unknown one counts as another client."""
    _of: dict[str, int] = field(factory=dict)

    def admit(self, client: str) -> bool:
        """Whether one more result of this client counts."""
        count = self._of.get(client, 0)
        if count >= MOST_OF_ONE or (not count and len(self._of) >= MOST_CLIENTS):
            return False
        self.clients += not count
        if client:
            self._of[client] = count + 1
        return True

    def foresee(self, clients: Iterable[str]) -> tuple[int, int]:
        """How many more results of these clients would count, and how many clients it would be."""
        more: Counter[str] = Counter()
        count, total = 0, self.clients
        for client in clients:
            before = self._of.get(client, 0) + more[client]
            if before < MOST_OF_ONE:
                count, total = count + 1, total + (not before)
                more[client] += bool(client)
        return count, total

    @property
    def has_several(self) -> bool:
        return self.clients >= FEWEST_CLIENTS


@define(eq=False)
class ClientLimits:
    """The limits for one release, and the results that are over them."""

    failures: ClientLimit = field(factory=ClientLimit)
    slow: ClientLimit = field(factory=ClientLimit)
    slow_seconds: float = math.inf
    """The response time beyond which a response is slow now."""
    failures_over: int = 0
    """Failures that do not count."""
    given_up_seconds: float = 1.0
    """The time beyond which a client without a response has given up because of the release."""
    given_up: int = 0
    """Requests without a response that count as failures, since their client has given up so."""
    times_over: Histogram = field(factory=lambda: Histogram(RESPONSE_SECONDS))
    """Times of slow responses that do not count."""

    def note_response(self, status: int, seconds: float, client: NameClient) -> None:
        """Note one that has begun."""
        if is_failure(status):
            self.note_failure(client)
        if seconds > self.slow_seconds and not self.slow.admit(client()):
            self.times_over.observe(seconds)

    def note_failure(self, client: NameClient) -> None:
        if not self.failures.admit(client()):
            self.failures_over += 1

    def note_given_up(self, seconds: float, client: NameClient) -> None:
        """Note a request that had no response for so long when its client disconnected."""
        if seconds > self.given_up_seconds:
            self.given_up += self.failures.admit(client())

    def counted(self, counts: Counts) -> Counts:
        """What counts of the requests since the limits apply."""
        return counts - Counts(self.failures_over, self.failures_over)

    def counted_times(self, times: Histogram) -> Histogram:
        """Those of the responses that count, since the limits apply."""
        counted = Histogram(RESPONSE_SECONDS)
        pairs = zip(times.counts, self.times_over.counts, strict=True)
        counted.counts[:] = [count - over for count, over in pairs]
        counted.total = times.total - self.times_over.total
        return counted


@contextmanager
def limited(results: Results) -> Iterator[ClientLimits]:
    """Apply limits to the results of a release from now on, for a while."""
    results.limits = limits = ClientLimits()
    try:
        yield limits
    finally:
        results.limits = None
