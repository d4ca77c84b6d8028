"""The results of a release: which requests count, and how."""

import math
from itertools import pairwise

import pytest

from blue_green.routing.lease import Outcome
from blue_green.routing.results import RESPONSE_SECONDS, Counts, Results, ResultSummary
from tests.support.gates import a_gate, a_target


def results_of(status: int | None, outcome: Outcome, *, is_stream: bool = False) -> Results:
    """Those of one request with this response, if it has one, and this end."""
    gate, target = a_gate(), a_target()
    gate.switch([target])
    lease = gate.acquire_now()
    assert lease is not None
    if status is not None:
        lease.begin_response(status, is_stream=is_stream)
    if is_stream:
        lease.become_stream()
    lease.end(outcome)
    return target.results


@pytest.mark.parametrize(
    ("status", "outcome", "counts"),
    [
        (200, Outcome.RESPONDED, Counts(1, 0)),
        (302, Outcome.RESPONDED, Counts(1, 0)),
        (404, Outcome.RESPONDED, Counts(0, 0)),
        (500, Outcome.RESPONDED, Counts(1, 1)),
        (501, Outcome.RESPONDED, Counts(0, 0)),
        (505, Outcome.RESPONDED, Counts(0, 0)),
        (999, Outcome.RESPONDED, Counts(1, 1)),
        (None, Outcome.FAILED, Counts(1, 1)),
        (None, Outcome.OVERDUE, Counts(1, 1)),
        (200, Outcome.FAILED, Counts(1, 1)),
        (500, Outcome.FAILED, Counts(1, 1)),
        (404, Outcome.FAILED, Counts(0, 0)),
        (200, Outcome.ABORTED, Counts(1, 0)),
        (None, Outcome.ABORTED, Counts(0, 0)),
        (None, Outcome.CUT, Counts(0, 0)),
        (None, Outcome.RETRIED, Counts(0, 0)),
        (None, Outcome.RESPONDED, Counts(0, 0)),  # With a file, which is no work of the app.
    ],
)
def test_a_request_counts_once_or_not_at_all(
    status: int | None, outcome: Outcome, counts: Counts
) -> None:
    assert results_of(status, outcome).counts == counts


def test_a_stream_counts_as_a_response_that_took_no_time() -> None:
    results = results_of(200, Outcome.FAILED, is_stream=True)
    assert results.counts == Counts(1, 0)
    assert results.summary() == ResultSummary(1, 0, None, None)


def test_a_request_broken_off_by_a_stop_of_ours_does_not_count() -> None:
    gate, target = a_gate(), a_target()
    gate.switch([target])
    lease = gate.acquire_now()
    assert lease is not None
    target.is_stopping = True
    lease.end(Outcome.FAILED)
    assert target.results.counts == Counts(0, 0)


@pytest.mark.parametrize("seconds", [0.0011, 0.0123, 0.05, 0.4, 1.0, 7.7, 59.0])
def test_percentiles_are_right_within_15_percent(seconds: float) -> None:
    results = Results()
    for _ in range(90):
        results.add(200, seconds)
    for _ in range(10):
        results.add(200, 3 * seconds)
    summary = results.summary()
    assert summary.p50 == pytest.approx(seconds, rel=0.15)
    assert summary.p95 == pytest.approx(min(3 * seconds, 63), rel=0.15)


def test_response_times_outside_of_all_buckets_have_the_nearest_bound() -> None:
    results = Results()
    results.add(200, 0.0)
    assert results.summary().p50 == 0.001
    for _ in range(9):
        results.add(200, 1000.0)
    assert results.summary().p50 == 63.0


def test_no_bucket_is_wider_than_28_percent() -> None:
    widest = max(high / low for low, high in pairwise(RESPONSE_SECONDS))
    assert math.sqrt(widest) < 1.15
    assert (RESPONSE_SECONDS[0], RESPONSE_SECONDS[-1]) == (0.001, 63.0)
