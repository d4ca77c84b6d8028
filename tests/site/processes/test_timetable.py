"""When a schedule is due: daylight saving time, and a clock that is set."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from blue_green.site.processes.timetable import Timetable, next_time
from tests.support.time_zone import machine_in

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture(autouse=True)
def _in_berlin() -> Iterator[None]:
    with machine_in("Europe/Berlin"):
        yield


def _takes(table: Timetable, now: datetime) -> bool:
    """Whether a time is due, which then passes."""
    if is_due := table.is_due(now):
        table.let_pass(now)
    return is_due


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "after", "expected"),
    [
        ("0 3 * * *", "2026-01-10 12:00", "2026-01-11 02:00"),
        ("0 3 * * *", "2026-07-10 12:00", "2026-07-11 01:00"),
        ("0 3 * * *", "2026-07-11 01:00", "2026-07-12 01:00"),
        ("0 0 1 * 1", "2026-07-02 00:00", "2026-07-05 22:00"),
        ("0 0 29 2 *", "2026-01-01 00:00", "2028-02-28 23:00"),
        # In spring, 2:00 to 3:00 is skipped, at 1:00 UTC.
        ("30 2 * * *", "2026-03-28 12:00", "2026-03-29 01:00"),
        ("30 2 * * *", "2026-03-29 01:00", "2026-03-30 00:30"),
        ("0,20,40 2 * * *", "2026-03-29 01:00", "2026-03-30 00:00"),
        ("*/30 * * * *", "2026-03-29 00:30", "2026-03-29 01:00"),
        # In autumn, 2:00 to 3:00 comes twice, at 0:00 and at 1:00 UTC.
        ("30 2 * * *", "2026-10-25 00:00", "2026-10-25 00:30"),
        ("30 2 * * *", "2026-10-25 00:30", "2026-10-26 01:30"),
        ("30 2 * * *", "2026-10-25 01:10", "2026-10-26 01:30"),
        ("*/30 * * * *", "2026-10-25 00:30", "2026-10-25 01:00"),
    ],
)
def test_the_next_time_is_in_the_time_zone_of_the_machine(
    schedule: str, after: str, expected: str
) -> None:
    assert next_time(schedule, _utc(after)) == _utc(expected)


def test_a_schedule_that_never_comes_has_no_next_time() -> None:
    assert next_time("0 0 */20 * 1#5", _utc("2026-01-01 00:00")) is None
    table = Timetable("0 0 */20 * 1#5", _utc("2026-01-01 00:00"))
    assert not table.is_due(_utc("2200-01-01 00:00"))


def test_a_time_is_due_once() -> None:
    now = _utc("2026-07-10 12:00")
    table = Timetable("*/10 * * * *", now)
    due = [m for m in range(1, 61) for _ in range(3) if _takes(table, now + m * MINUTE)]
    assert due == [10, 20, 30, 40, 50, 60]


def test_times_that_a_clock_set_forward_skips_are_due_once() -> None:
    now = _utc("2026-07-10 12:00")
    table = Timetable("*/10 * * * *", now)
    assert _takes(table, now + 5 * DAY)
    assert not _takes(table, now + 5 * DAY + MINUTE)
    assert table.next == now + 5 * DAY + 10 * MINUTE


def test_a_clock_set_back_runs_nothing_again() -> None:
    now = _utc("2026-07-10 12:00")
    table = Timetable("*/10 * * * *", now)
    assert _takes(table, now + 30 * MINUTE)
    assert not any(_takes(table, now - HOUR + m * MINUTE) for m in range(99))
    assert _takes(table, now + 40 * MINUTE)


def test_after_a_wrong_clock_is_corrected_the_new_time_counts() -> None:
    wrong, right = _utc("2036-07-10 12:00"), _utc("2026-07-10 12:00")
    table = Timetable("0 * * * *", wrong)
    assert not _takes(table, right)
    assert _takes(table, right + HOUR)


@pytest.mark.parametrize("schedule", ["30 2 * * *", "*/15 * * * *", "0 */2 * * *", "59 23 * * 0"])
def test_a_year_with_steps_of_the_clock_never_runs_a_time_twice(schedule: str) -> None:
    now = _utc("2026-01-01 00:00")
    table = Timetable(schedule, now)
    runs: list[datetime] = []
    for step in range(1000):
        now += timedelta(minutes=(7, 240, -50, 61)[step % 4])
        if _takes(table, now):
            runs.append(now)
    assert runs == sorted(set(runs))
