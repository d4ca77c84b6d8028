"""Requests that a release leaves unanswered, which count as failed in its verdict.

A release that hangs has no results: its requests wait, or their clients give up. So a request that
has waited for far longer than those of the live release counts as failed, and so does one whose
client gave up after such a time. Of the live release, those that it answered as late count as well:
what is slow in both releases is no evidence. Uploads, and requests for what may be a stream, count
in neither (see `Lease.unanswered_for`).

A request that waits may still be answered. Then it no longer counts as failed, so that the new
release looks better than by its results alone, and a verdict is no more likely to be wrong.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Protocol

import trio
from attrs import frozen

from blue_green.routing.client_limits import FEWEST_CLIENTS, ClientLimits
from blue_green.routing.lease import Lease, Target
from blue_green.routing.results import Counts, Results
from blue_green.site.verdict import is_clearly_worse

FACTOR = 3.0
"""How many times as long as requests of the live release one has to wait."""
GIVEN_UP = 1.0
"""Seconds after which a client has given up because of the release, and not for its own reasons."""
WAITING = 5.0
"""Seconds that a request has to wait at least: a release may still be cold."""
FORESEEN = 0.2
"""Seconds that a request has to have waited for the end to wait for it, too."""
SILENT = 15.0
"""Seconds without any response after which a busy candidate hangs, at least. An app that does one
thing at a time may have a single slow request."""
MOST_WAITING = 1000
"""How many requests that wait are looked at. So many have long been enough to see."""
LOOK_INTERVAL = 0.1


class ComparedResults(Protocol):
    """What is compared."""

    def new(self) -> Results: ...

    def old(self) -> Results: ...

    def new_targets(self) -> Iterable[Target]: ...

    def old_targets(self) -> Iterable[Target]: ...


@frozen
class Patience:
    """From how many seconds on a request without a response counts as failed."""

    given_up: float
    """If its client has given up."""
    waiting: float
    """If it still waits."""
    foreseen: float
    """If it still waits at the end of a canary or a soak, which then lasts longer."""


@frozen
class BothCounts:
    """The requests of both releases, where unanswered ones count as failed."""

    new: Counts
    old: Counts
    unanswered: int
    """How many of the new release are unanswered."""
    has_several_clients: bool
    """Enough clients have failed requests of the new release."""
    is_mute: bool
    """The new release has answered nothing at all."""


def patience_with(live: Results) -> Patience:
    """The patience beside a live release with these results."""
    usual = FACTOR * (live.times.quantile(0.95) or 0.0)
    return Patience(max(GIVEN_UP, usual), max(WAITING, usual), max(FORESEEN, usual))


def longest_silence(live: Results) -> float:
    """Seconds for which a busy candidate may answer nothing, by the slowest response of the live
    release."""
    return max(SILENT, FACTOR * (live.times.quantile(1.0) or 0.0))


def compare(
    results: ComparedResults, limits: ClientLimits, *, foresees: bool = False
) -> BothCounts:
    """Count the requests of both; with `foresees`, as if those that wait were never answered.

    `limits` are those of the new release.
    """
    new, old = results.new(), results.old()
    patience = patience_with(old)
    limits.given_up_seconds = patience.given_up
    seconds = patience.foreseen if foresees else patience.waiting
    names = (lease.name_client() for lease in _waiting(results.new_targets(), seconds))
    waiting, clients = limits.failures.foresee(names)
    unanswered = limits.given_up + waiting
    of_new = limits.counted(new.counts)
    return BothCounts(
        Counts(of_new.requests + unanswered, of_new.failed + unanswered),
        _of_old(old, results.old_targets(), patience),
        unanswered,
        has_several_clients=clients >= FEWEST_CLIENTS,
        is_mute=not new.responses,
    )


def _of_old(old: Results, targets: Iterable[Target], patience: Patience) -> Counts:
    unanswered = old.given_up.over(patience.given_up)
    unanswered += sum(1 for _ in _waiting(targets, patience.waiting))
    requests = old.counts.requests + unanswered
    failed = old.counts.failed + unanswered + old.times.over(patience.waiting)
    return Counts(requests, min(requests, failed))  # A response may be late and an error.


def _waiting(targets: Iterable[Target], seconds: float) -> Iterator[Lease]:
    """Requests that have been unanswered for so long."""
    leases = (lease for target in targets for lease in target.leases)
    return islice((lease for lease in leases if lease.unanswered_for >= seconds), MOST_WAITING)


def shows_more_failures(both: BothCounts, *, requests: int, margin: float, is_last: bool) -> bool:
    """Whether the new release has clearly failed more (see `is_clearly_worse`).

    At the end, one that has answered nothing needs no least number of requests.
    """
    least = 1 if is_last and both.is_mute else requests
    return both.has_several_clients and is_clearly_worse(
        both.new, both.old, requests=least, margin=margin
    )


async def until_settled(live: Results, is_settled: Callable[[], bool]) -> None:
    """Wait for responses that would decide if they never came, for as long as requests may wait."""
    with trio.move_on_after(patience_with(live).waiting):
        while not is_settled():
            await trio.sleep(LOOK_INTERVAL)


async def until_not_silent(targets: Iterable[Target], seconds: float) -> None:
    """Wait until each of these has answered its last probe, if it has not, or for this time."""
    targets = list(targets)
    with trio.move_on_after(seconds):
        while any(target.is_silent for target in targets):
            await trio.sleep(LOOK_INTERVAL)
