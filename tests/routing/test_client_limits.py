"""Limits of what one client contributes to a verdict."""

from functools import partial

import pytest

from blue_green.routing import client_limits
from blue_green.routing.client_limits import ClientLimits, limited
from blue_green.routing.lease import Outcome
from blue_green.routing.results import Counts, Results
from tests.support.gates import a_gate, a_target


class OfClient:
    """A request of a client with this name."""

    sent, may_get_stream = 0, False

    def __init__(self, name: str) -> None:
        self.name = name

    def name_client(self) -> str:
        return self.name


def counted(*requests: tuple[str, int | None, Outcome]) -> Counts:
    """What counts of these requests: each has a client, perhaps a status, and an end."""
    gate, target = a_gate(), a_target()
    gate.switch([target])
    with limited(target.results) as limits:
        for client, status, outcome in requests:
            lease = gate.acquire_now()
            assert lease is not None
            lease.request = OfClient(client)
            if status is not None:
                lease.begin_response(status)
            lease.end(outcome)
        return limits.counted(target.results.counts)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (500, Outcome.RESPONDED),
        (500, Outcome.FAILED),
        (200, Outcome.FAILED),
        (None, Outcome.FAILED),
        (None, Outcome.OVERDUE),
    ],
)
def test_three_failures_of_each_client_count(status: int | None, outcome: Outcome) -> None:
    assert counted(*[("a", status, outcome)] * 5, ("b", status, outcome)) == Counts(4, 4)
    assert counted(*[("", status, outcome)] * 5) == Counts(5, 5), "each may be another one"


def test_all_other_responses_count() -> None:
    good, not_found = ("a", 200, Outcome.RESPONDED), ("a", 404, Outcome.FAILED)
    assert counted(*[good] * 9, *[not_found] * 9) == Counts(9, 0)


def test_three_slow_responses_of_each_client_count() -> None:
    limits, results = ClientLimits(slow_seconds=0.5), Results()
    for client in "aaaaab":
        for seconds in (0.01, 0.4, 2.0):
            results.add(200, seconds)
            limits.note_response(200, seconds, partial(str, client))
    assert sum(results.times.counts) == 18
    times = limits.counted_times(results.times)
    assert sum(times.counts) == 16
    assert times.total == pytest.approx(results.times.total - 4.0)


def test_several_clients_are_three() -> None:
    limits = ClientLimits()
    for client in "aabbb":
        limits.note_failure(partial(str, client))
    assert not limits.failures.has_several
    limits.note_failure(str)
    assert limits.failures.has_several


def test_so_many_clients_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_limits, "MOST_CLIENTS", 2)
    limits = ClientLimits()
    for client in "abcab":
        limits.note_failure(partial(str, client))
    assert limits.failures_over == 1


def test_the_limits_apply_for_a_while() -> None:
    results = Results()
    with limited(results) as limits:
        assert results.limits is limits
    assert results.limits is None
