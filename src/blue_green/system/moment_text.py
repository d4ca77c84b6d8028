"""Moments as people write and read them, in the time zone of the machine.

A moment is in seconds since the epoch.
"""

import re
from datetime import datetime, timedelta

from blue_green.system.local_zone import LOCAL

LONGEST_SHOWN = 60
"""Characters of a text that is no moment."""
CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{2})")
DATE_AND_CLOCK = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})[ T]([0-9]{1,2}):([0-9]{2})")


def moment(text: str, now: float) -> float:
    """The moment that a text such as `21:00` or `2026-12-01 06:00` means.

    A time alone is today, or tomorrow if it has passed, as with at(1). Of a time that comes twice
    in autumn, it is the first that has not passed. Raises `ValueError`, also for a date and time
    that have passed.
    """
    try:
        if clock := CLOCK.fullmatch(text):
            hour, minute = map(int, clock.groups())
            today = datetime.fromtimestamp(now, LOCAL).replace(tzinfo=None)
            then = today.replace(hour=hour, minute=minute, second=0, microsecond=0)
            times = [*_times(then), *_times(then + timedelta(days=1))]
        elif date := DATE_AND_CLOCK.fullmatch(text):
            year, month, day, hour, minute = map(int, date.groups())
            times = _times(datetime(year, month, day, hour, minute))
        else:
            times = []
    except (ValueError, OverflowError, OSError):  # Such as 25:00, or February 30.
        times = []
    if not times:
        raise ValueError(
            'must be a time such as 21:00, or a date and a time such as "2026-12-01 06:00", '
            f"not {text[:LONGEST_SHOWN]}"
        )
    found = [time for time in times if time > now]
    if not found:
        raise ValueError(f"{text} has passed: it is {in_full(now)} now")
    return found[0]


def in_full(time: float) -> str:
    """A moment with its date and time zone: `2026-12-01 06:00 CET`."""
    return datetime.fromtimestamp(time, LOCAL).strftime("%Y-%m-%d %H:%M %Z")


def _times(naive: datetime) -> list[float]:
    """When it is this local time: twice for some in autumn; later for those skipped in spring."""
    first, second = (naive.replace(tzinfo=LOCAL, fold=fold).timestamp() for fold in (0, 1))
    return [first, second] if second > first else [first]
