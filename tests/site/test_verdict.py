"""The verdict by traffic: only what is clear, whatever the numbers, and however often we look."""

import math
import random
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blue_green.routing.results import Counts
from blue_green.site.verdict import (
    evidence_against,
    excess,
    highest_share,
    is_clearly_worse,
    lowest_share,
)

GOOD = Counts(1000, 0)


def verdict(new: Counts, old: Counts, *, requests: int = 20, margin: float = 0.05) -> bool:
    return is_clearly_worse(new, old, requests=requests, margin=margin)


# --- the statistics ---


@pytest.mark.parametrize("requests", [1, 2, 20, 150])
@pytest.mark.parametrize("error", [0.1, 0.0025, 1e-6])
def test_the_bounds_hold_by_the_exact_binomial_distribution(requests: int, error: float) -> None:
    def at_least(failed: int, share: float) -> float:
        return sum(
            comb(requests, n) * share**n * (1 - share) ** (requests - n)
            for n in range(failed, requests + 1)
        )

    for failed in range(1, requests + 1):
        low = lowest_share(Counts(requests, failed), error)
        assert 0 < low <= failed / requests
        assert at_least(failed, low) <= error * 1.000001
        high = highest_share(Counts(requests, requests - failed), error)
        assert high == pytest.approx(1 - low)


def test_without_requests_every_share_is_possible() -> None:
    assert (lowest_share(Counts(), 0.01), highest_share(Counts(), 0.01)) == (0, 1)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_the_bounds_hold_at_every_moment_at_once(share: float) -> None:
    """By the exact probability that the true share is ever ruled out, in 400 requests."""
    error, ruled_out, still = 0.05, 0.0, {0: 1.0}
    for requests in range(1, 401):
        after: dict[int, float] = {}
        for failed, probability in still.items():
            for more, chance in ((1, share), (0, 1 - share)):
                now = failed + more
                if evidence_against(share, Counts(requests, now)) > -math.log(error):
                    ruled_out += probability * chance
                else:
                    after[now] = after.get(now, 0.0) + probability * chance
        still = after
    assert 0 < ruled_out <= error


# --- the verdict ---


@pytest.mark.parametrize(
    ("new", "old", "is_worse"),
    [
        pytest.param((20, 20), (1000, 0), True, id="all requests fail"),
        pytest.param((20, 20), (20, 0), True, id="all fail, and the old one had few"),
        pytest.param((20, 20), (0, 0), False, id="the old one had no requests"),
        pytest.param((20, 20), (1, 0), False, id="the old one had one"),
        pytest.param((19, 19), (1000, 0), False, id="too little traffic"),
        pytest.param((100, 20), (1000, 0), True, id="a fifth fails"),
        pytest.param((30, 6), (1000, 0), False, id="a fifth of few fails"),
        pytest.param((100, 5), (1000, 0), False, id="not more than the margin"),
        pytest.param((20, 1), (1000, 0), False, id="one failure"),
        pytest.param((20, 2), (1000, 0), False, id="two failures"),
        pytest.param((1000, 0), (1000, 1000), False, id="a fix that works"),
        pytest.param((1000, 1000), (1000, 1000), False, id="a fix that does not"),
        pytest.param((1000, 500), (1000, 1000), False, id="half a fix"),
        pytest.param((1000, 100), (1000, 100), False, id="as bad as the old one"),
        pytest.param((1000, 120), (1000, 100), False, id="a little worse"),
        pytest.param((1000, 300), (1000, 100), True, id="much worse than a bad one"),
        pytest.param((10**6, 60_000), (10**6, 0), True, id="6 % in a million"),
        pytest.param((10**6, 49_000), (10**6, 0), False, id="4.9 % in a million"),
    ],
)
def test_only_a_release_that_is_clearly_worse_is_taken_back(
    new: tuple[int, int], old: tuple[int, int], is_worse: bool
) -> None:
    assert verdict(Counts(*new), Counts(*old)) is is_worse


counts = st.integers(0, 10_000).flatmap(
    lambda requests: st.builds(Counts, st.just(requests), st.integers(0, requests))
)


@settings(max_examples=50)
@given(counts, counts, st.integers(0, 10_000))
def test_more_failures_never_make_a_verdict_milder(new: Counts, old: Counts, more: int) -> None:
    worse = Counts(new.requests, min(new.requests, new.failed + more))
    assert verdict(worse, old) >= verdict(new, old)


@settings(max_examples=50)
@given(counts, counts, st.integers(0, 10_000))
def test_more_failures_of_the_old_release_never_make_a_verdict_harder(
    new: Counts, old: Counts, more: int
) -> None:
    worse = Counts(old.requests, min(old.requests, old.failed + more))
    assert verdict(new, worse) <= verdict(new, old)


@settings(max_examples=50)
@given(counts, counts, st.floats(0, 1), st.floats(0, 1))
def test_a_larger_margin_never_makes_a_verdict_harder(
    new: Counts, old: Counts, one: float, other: float
) -> None:
    small, large = sorted((one, other))
    assert verdict(new, old, margin=large) <= verdict(new, old, margin=small)


@settings(max_examples=50)
@given(counts, counts, st.floats(0, 1))
def test_a_release_that_fails_no_more_than_the_old_one_stays(
    new: Counts, old: Counts, margin: float
) -> None:
    if new.share <= old.share + margin:
        assert not verdict(new, old, requests=1, margin=margin)


@settings(max_examples=50)
@given(counts, counts, st.floats(1e-9, 0.5))
def test_the_excess_is_never_overestimated(new: Counts, old: Counts, error: float) -> None:
    measured = new.share - old.share if new.requests and old.requests else 1.0
    assert -1 <= excess(new, old, error) <= measured + 1e-9


# --- a whole soak ---


def test_responses_that_break_off_late_count_without_another_request() -> None:
    requests = [verdict(Counts(61, broken), Counts(307, 0)) for broken in range(61)]
    assert requests.index(True) < 20
    assert requests == sorted(requests)


def failures_until_verdict(failures: list[bool], old: Counts) -> int:
    """How many requests of a recorded sequence it takes; 0 if there is no verdict."""
    failed = 0
    for number, is_failure in enumerate(failures, start=1):
        failed += is_failure
        if verdict(Counts(number, failed), old):
            return number
    return 0


RECORDED = {
    "all fail": ("F" * 40, GOOD, 20),
    "every second one fails": (".F" * 50, GOOD, 20),
    "every fifth one fails": ("....F" * 60, GOOD, 70),
    "every twentieth one fails": (("." * 19 + "F") * 60, GOOD, 0),
    "it fails while it is cold, and then works": ("F" * 4 + "." * 500, GOOD, 0),
    "it works, and then breaks": ("." * 100 + "F" * 100, GOOD, 120),
    "it works, and then breaks early": ("." * 18 + "F" * 10, GOOD, 26),
    "so few that there is no verdict": ("F" * 19, GOOD, 0),
    "the old one had failed as much": (".F" * 200, Counts(1000, 500), 0),
}


@pytest.mark.parametrize(("text", "old", "expected"), RECORDED.values(), ids=RECORDED)
def test_recorded_soaks(text: str, old: Counts, expected: int) -> None:
    assert failures_until_verdict([sign == "F" for sign in text], old) == expected


@pytest.mark.parametrize("share", [0.01, 0.2, 0.95])
def test_equal_releases_are_hardly_ever_told_apart(share: float) -> None:
    dice, wrong = random.Random(1), 0
    for _ in range(100):
        old = Counts(1000, sum(dice.random() < share for _ in range(1000)))
        wrong += bool(failures_until_verdict([dice.random() < share for _ in range(300)], old))
    assert wrong <= 1
