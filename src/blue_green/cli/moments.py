"""Moments in the supervisor's answers, in ISO 8601, as people read them."""

from datetime import UTC, datetime
from itertools import pairwise

UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
"""Units of times in seconds, the largest first."""


def since(moment: str) -> str:
    """The local time, and how long ago that is."""
    return f"{local_time(moment)} ({age(moment)})"


def ago(moment: str) -> str:
    """The local time of an event, and how long ago that is."""
    return f"{local_time(moment)} ({age(moment)} ago)"


def local_time(moment: str) -> str:
    """The local time, with the date unless it is today."""
    then = datetime.fromisoformat(moment).astimezone()
    is_today = then.date() == datetime.now().astimezone().date()
    return then.strftime("%H:%M:%S" if is_today else "%Y-%m-%d %H:%M:%S")


def with_zone(moment: str) -> str:
    """The local time and its time zone, with the date unless it is today."""
    return f"{local_time(moment)} {datetime.fromisoformat(moment).astimezone():%Z}"


def age(moment: str) -> str:
    """How long ago it is, in the largest unit."""
    return duration((datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds())


def duration(seconds: float) -> str:
    """A time in its largest unit."""
    seconds = int(seconds)
    for unit, name in UNITS[:-1]:
        if seconds >= unit:
            return f"{seconds // unit} {name}"
    return f"{max(seconds, 0)} s"


def left(seconds: float) -> str:
    """A time to come in its two largest units, rounded to the smaller one."""
    for (unit, name), (part, part_name) in pairwise(UNITS):
        parts = round(seconds / part)
        if parts * part >= unit:
            whole, rest = divmod(parts, unit // part)
            return f"{whole} {name}" + (f" {rest} {part_name}" if rest else "")
    return f"{max(round(seconds), 0)} s"


def day(moment: str) -> str:
    """A day to come, and how far away it is."""
    then = datetime.fromisoformat(moment)
    hours = int((then - datetime.now(UTC)).total_seconds() // 3600)
    away = f"{hours // 24} days" if hours >= 48 else f"{max(hours, 0)} h"
    return f"{then.astimezone():%Y-%m-%d} ({away})"
