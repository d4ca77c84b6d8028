"""The verdict of a canary, by the traffic of both releases."""

import math
import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from blue_green.config.kinds import Count, Percent
from blue_green.config.site_settings import SwapSettings
from blue_green.routing.client_limits import ClientLimits
from blue_green.routing.lease import Target
from blue_green.routing.results import Results
from blue_green.site.trial_verdict import TrialVerdict, limit, slower_than

Times = Callable[[], float]


class BothResults:
    """Results of both releases, as a trial has them."""

    def __init__(self) -> None:
        self.limits = ClientLimits()
        self.of_new, self.of_live = Results(limits=self.limits), Results()

    def new(self) -> Results:
        return self.of_new

    def old(self) -> Results:
        return self.of_live

    def add(self, status: int, seconds: float, client: str = "") -> None:
        """A response of the new release."""
        self.of_new.add(status, seconds)
        self.limits.note_response(status, seconds, lambda: client)

    def new_targets(self) -> list[Target]:
        return []

    def old_targets(self) -> list[Target]:
        return []


def verdict_of(both: BothResults, **settings: Any) -> TrialVerdict:
    swap = SimpleNamespace(settings=SimpleNamespace(swap=SwapSettings(**settings)))
    return TrialVerdict(cast(Any, swap), cast(Any, both), both.limits)


def played(new: Times, live: Times, count: int = 2000, share: float = 0.1) -> str:
    """How a canary of this share fails, of so many requests, if it does."""
    both = BothResults()
    verdict = verdict_of(both)
    for number in range(count):
        add, times = (both.add, new) if random.random() < share else (both.of_live.add, live)
        add(200, times())
        if number % 10 == 0 and (failure := verdict.failure()):
            return failure
    return verdict.failure()


def lognormal(median: float, sigma: float = 0.8) -> Times:

    return lambda: random.lognormvariate(math.log(median), sigma)


@pytest.fixture(autouse=True)
def _seed() -> None:
    random.seed(19)


def test_a_canary_that_is_as_fast_is_never_slower() -> None:
    for _ in range(15):
        assert played(lognormal(0.05), lognormal(0.05)) == ""


def test_a_canary_that_is_a_little_slower_is_not_slower() -> None:
    for _ in range(15):
        assert played(lognormal(0.055), lognormal(0.05)) == ""


def test_a_canary_that_takes_three_times_as_long_is_slower() -> None:
    failures = [played(lognormal(0.6), lognormal(0.2), count=6000) for _ in range(10)]
    assert all(failure.startswith("the canary is slower: its 95th") for failure in failures)


def test_one_page_in_five_that_hangs_is_slower() -> None:
    def hangs() -> float:
        return 5.0 if random.random() < 0.2 else 0.01

    assert played(hangs, lambda: 0.01).startswith("the canary is slower")


def test_milliseconds_do_not_count() -> None:
    assert played(lambda: 0.02, lambda: 0.002) == ""


def test_too_few_requests_are_no_verdict() -> None:
    assert played(lambda: 9.0, lambda: 0.01, count=500, share=0.1) == ""


def test_a_canary_that_fails_more_is_worse() -> None:
    both = BothResults()
    verdict = verdict_of(both)
    for number in range(100):
        both.of_live.add(200, 0.01)
        both.add(500 if number % 2 else 200, 0.01)
    assert verdict.failure() == (
        "50 of 100 requests of the canary failed (50%), and 0 of 100 of the live release (0%)\n"
        "verdict = false in [swap] turns this comparison off"
    )
    assert verdict.missing() == ""


def test_a_canary_that_fails_no_more_than_the_live_release_is_not_worse() -> None:
    both = BothResults()
    verdict = verdict_of(both)
    for number in range(400):
        for add in (both.of_live.add, both.add):
            add(500 if number % 2 else 200, 0.01)
    assert verdict.failure() == ""


def with_a_hostile_client(status: int, seconds: float, clients: int = 1) -> str:
    """How a canary fails that such clients alone use, one response after the other."""
    both = BothResults()
    verdict = verdict_of(both, verdict_requests=Count(1), verdict_margin=Percent(0))
    for number in range(400):
        both.of_live.add(200, 0.01)
        both.add(200, 0.01)
        both.add(status, seconds, f"203.0.113.{number % clients}")
        if failure := verdict.failure():
            return failure
    return ""


@pytest.mark.parametrize(("status", "seconds"), [(500, 0.01), (200, 5.0)])
def test_no_client_alone_decides_and_no_two(status: int, seconds: float) -> None:
    assert with_a_hostile_client(status, seconds) == ""
    assert with_a_hostile_client(status, seconds, clients=2) == ""
    assert with_a_hostile_client(status, seconds, clients=40) != ""


def test_the_reason_names_the_failures_that_do_not_count() -> None:
    both = BothResults()
    for number in range(60):
        both.of_live.add(200, 0.01)
        both.add(500, 0.01, f"203.0.113.{number % 7}")
    assert verdict_of(both).failure() == (
        "21 of 21 requests of the canary failed (100%), and 0 of 60 of the live release (0%)\n"
        "not counted: 39 more failures of the same clients\n"
        "verdict = false in [swap] turns this comparison off"
    )


def test_it_can_be_turned_off() -> None:
    both = BothResults()
    verdict = verdict_of(both, verdict=False)
    for _ in range(400):
        both.of_live.add(200, 0.01)
        both.add(500, 9)
    assert (verdict.failure(), verdict.missing()) == ("", "")


def test_it_says_if_there_was_too_little_traffic() -> None:
    both = BothResults()
    for _ in range(7):
        both.of_new.add(200, 0.01)
    assert verdict_of(both).missing() == (
        "too few requests in its canary for a verdict: 7, and 0 of the live release"
    )


def test_only_times_that_are_certainly_longer_are_slow() -> None:
    results = Results()
    for seconds in (0.01, 0.19, 0.21, 0.26, 3.0):
        results.add(200, seconds)
    assert slower_than(0.2, results.times).failed == 3
    assert slower_than(0.21, results.times).failed == 2  # Its bucket ends at 0.25.
    assert slower_than(0.2, results.times).requests == 5


def test_the_limit_is_a_factor_and_a_tenth_of_a_second() -> None:
    fast, slow = Results(), Results()
    fast.add(200, 0.01)
    slow.add(200, 2.0)
    assert limit(fast.times) == pytest.approx(0.11, abs=0.003)
    assert limit(slow.times) == pytest.approx(2.7, rel=0.15)
