"""Moments as people write and read them, on days with daylight saving time and without."""

from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from blue_green.system.moment_text import in_full, moment
from tests.support.time_zone import machine_in

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture(autouse=True)
def in_berlin() -> Iterator[None]:
    with machine_in("Europe/Berlin"):
        yield


def seconds(text: str, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold).timestamp()


@pytest.mark.parametrize(
    ("now", "text", "expected"),
    [
        ("2026-11-27 20:59:59", "21:00", "2026-11-27 21:00"),
        ("2026-11-27 21:00:00", "21:00", "2026-11-28 21:00"),
        ("2026-11-27 21:00:01", "21:00", "2026-11-28 21:00"),
        ("2026-12-31 12:00", "6:05", "2027-01-01 06:05"),
        ("2026-11-27 12:00", "2026-12-01 06:00", "2026-12-01 06:00"),
        ("2026-11-27 12:00", "2026-12-01T06:00", "2026-12-01 06:00"),
        ("2026-11-27 12:00", "2028-02-29 00:00", "2028-02-29 00:00"),
        ("2026-03-28 12:00", "06:00", "2026-03-29 06:00"),
        ("2026-03-28 12:00", "02:30", "2026-03-29 03:30"),
        ("2026-10-24 12:00", "06:00", "2026-10-25 06:00"),
    ],
)
def test_a_time_alone_is_today_or_else_tomorrow(now: str, text: str, expected: str) -> None:
    assert moment(text, seconds(now)) == seconds(expected)


def test_of_a_time_that_comes_twice_the_first_one_to_come_counts() -> None:
    first, second = (seconds("2026-10-25 02:30", fold) for fold in (0, 1))
    assert moment("02:30", first - 1) == first
    assert moment("02:30", first) == second
    assert moment("2026-10-25 02:30", first + 60) == second
    assert moment("02:30", second) == seconds("2026-10-26 02:30")


@pytest.mark.parametrize(
    "text",
    ["", "soon", "21", "21:0", "24:00", "12:60", "-1:00", "21:00:00", " 21:00", "9pm",
     "2026-12-01", "2026-02-30 06:00", "2026-13-01 06:00", "26-12-01 06:00", "0000-01-01 06:00",
     "2026-12-01  06:00", "21:00\n", "9" * 5000 + ":00"],
)  # fmt: skip
def test_anything_else_is_an_error_that_says_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match="must be a time such as 21:00, or a date and a time"):
        moment(text, seconds("2026-11-27 12:00"))


def test_a_date_that_has_passed_is_an_error_that_says_what_time_it_is() -> None:
    with pytest.raises(ValueError, match="06:00 has passed: it is 2026-11-27 12:00 CET now"):
        moment("2026-11-27 06:00", seconds("2026-11-27 12:00"))


@pytest.mark.parametrize(("fold", "zone"), [(0, "CEST"), (1, "CET")])
def test_a_moment_is_written_with_its_time_zone(fold: int, zone: str) -> None:
    assert in_full(seconds("2026-10-25 02:30", fold)) == f"2026-10-25 02:30 {zone}"
