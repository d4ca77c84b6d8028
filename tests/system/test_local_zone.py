"""The machine's time zone, with daylight saving time on all days."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from zoneinfo import ZoneInfo

import pytest

from blue_green.system.local_zone import LOCAL
from tests.support.time_zone import machine_in

ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC")
DAYS = (*range(60, 120), *range(270, 330))
"""Of a year: those around a change of daylight saving time."""


@pytest.fixture(params=ZONES)
def zone(request: pytest.FixtureRequest) -> Iterator[ZoneInfo]:
    with machine_in(request.param):
        yield ZoneInfo(request.param)


def test_each_hour_is_converted_as_by_the_zone_itself(zone: ZoneInfo) -> None:
    moment = datetime(2026, 1, 1, 0, 15, tzinfo=UTC)
    for day, hour in product(DAYS, range(24)):
        utc = moment + timedelta(days=day, hours=hour)
        ours, reference = utc.astimezone(LOCAL), utc.astimezone(zone)
        assert ours.replace(tzinfo=None) == reference.replace(tzinfo=None)
        assert (ours.fold, ours.utcoffset()) == (reference.fold, reference.utcoffset())
        assert ours.astimezone(UTC) == utc


def test_a_time_that_is_skipped_has_the_offset_from_before_it() -> None:
    with machine_in("Europe/Berlin"):
        skipped = datetime(2026, 3, 29, 2, 30, tzinfo=LOCAL)
        assert skipped.astimezone(UTC) == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


def test_the_rules_in_the_environment_are_used() -> None:
    with machine_in("XXX-2"):
        assert datetime(2026, 7, 1, tzinfo=LOCAL).utcoffset() == timedelta(hours=2)
