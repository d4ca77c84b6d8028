"""When certificates are renewed, and when failed attempts are repeated."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blue_green.certificates import schedule

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = (timedelta(seconds=count) for count in (1, 60, 3600, 24 * 3600))

spreads = st.floats(0, 1)


@pytest.mark.parametrize("life", [90 * DAY, 6 * DAY, 30 * SECOND])
def test_a_certificate_is_renewed_after_about_two_thirds_of_its_life(life: timedelta) -> None:
    latest = schedule.renewal(NOW, NOW + life, 0.0)
    soonest = schedule.renewal(NOW, NOW + life, 1.0)
    assert NOW + life * 0.59 < soonest < latest <= NOW + life * 0.67


@given(spreads, spreads)
def test_certificates_of_one_moment_are_renewed_at_different_moments(a: float, b: float) -> None:
    one, other = (schedule.renewal(NOW, NOW + 90 * DAY, spread) for spread in (a, b))
    assert (one < other) == (a - b > 1e-12) or abs(a - b) <= 1e-9


def test_the_advice_of_the_authority_takes_precedence() -> None:
    advised = NOW + 20 * DAY
    assert schedule.renewal(NOW, NOW + 90 * DAY, 0.5, advised) == advised


def test_advice_to_renew_after_the_end_is_not_followed() -> None:
    at = schedule.renewal(NOW, NOW + 90 * DAY, 0.5, NOW + 1000 * DAY)
    assert at == NOW + 81 * DAY


@pytest.mark.parametrize(("life", "soonest"), [(90 * DAY, DAY), (30 * SECOND, 3 * SECOND)])
def test_advice_to_renew_immediately_is_not_followed_again_and_again(
    life: timedelta, soonest: timedelta
) -> None:
    assert schedule.renewal(NOW, NOW + life, 0.5, NOW - DAY) == NOW + soonest


def attempts(spread: float, life: timedelta | None = None) -> list[datetime]:
    """When the first attempts happen if all of them fail at once."""
    moments = [NOW]
    for failures in range(1, 30):
        moments.append(schedule.next_attempt(moments[-1], failures, spread, life=life))
    return moments


@given(spreads, st.sampled_from([None, 90 * DAY, 6 * DAY, DAY, 30 * SECOND]))
def test_a_host_never_has_more_than_five_attempts_in_an_hour(
    spread: float, life: timedelta | None
) -> None:
    moments = attempts(spread, life)
    for first, sixth in zip(moments, moments[5:], strict=False):
        assert sixth - first > HOUR


@given(spreads)
def test_waits_grow_from_a_minute_to_a_day(spread: float) -> None:
    waits = [after - before for before, after in pairwise(attempts(spread))]
    assert MINUTE <= waits[0] <= 1.1 * MINUTE
    assert waits == sorted(waits)
    assert DAY <= waits[-1] <= 1.1 * DAY


def test_a_certificate_of_six_days_has_many_attempts_before_it_ends() -> None:
    moments = [at for at in attempts(1.0, 6 * DAY) if at < NOW + 2 * DAY]
    assert len(moments) >= 10


def test_the_authority_can_forbid_an_attempt_for_at_most_a_day() -> None:
    def next_attempt(allowed_at: datetime) -> datetime:
        return schedule.next_attempt(NOW, 1, 0.0, allowed_at=allowed_at)

    assert next_attempt(NOW + 7 * HOUR) == NOW + 7 * HOUR
    assert next_attempt(NOW + 7 * DAY) == NOW + DAY
    assert next_attempt(NOW - DAY) == NOW + MINUTE


@given(st.integers(-5, 10**9), spreads, st.timedeltas(min_value=-90 * DAY, max_value=90 * DAY))
def test_whatever_was_stored_the_next_attempt_is_due_within_two_days(
    failures: int, spread: float, allowed_in: timedelta
) -> None:
    at = schedule.next_attempt(NOW, failures, spread, allowed_at=NOW + allowed_in)
    assert NOW + MINUTE <= at <= NOW + 2 * DAY
    assert not schedule.is_due(at, NOW)
    assert schedule.is_due(at, at)


def test_an_attempt_is_due_if_the_clock_was_set_back_by_years() -> None:
    at = schedule.next_attempt(NOW, 3, 0.5)
    assert schedule.is_due(at, NOW - 1000 * DAY)


@given(st.none() | st.timedeltas(min_value=-90 * DAY, max_value=90 * DAY))
def test_advice_is_asked_for_at_most_once_a_minute_and_at_least_once_a_day(
    asked_in: timedelta | None,
) -> None:
    at = schedule.ask_again(NOW, None if asked_in is None else NOW + asked_in)
    assert NOW + MINUTE <= at <= NOW + DAY
