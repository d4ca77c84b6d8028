"""When a process with a `schedule` is due, whatever the clock does.

The clock may be set forward (by NTP, or as a machine wakes up): all times that are skipped are due
once, together. It may be set back: what has run does not run again. After a large step back, the
clock was wrong before, and only the new time counts.
"""

from datetime import UTC, datetime, timedelta

from cronsim import CronSim

from blue_green.system.local_zone import LOCAL

CORRECTION = timedelta(hours=3)
"""A step back of more than this corrects a wrong clock, as in cron(8)."""


def next_time(schedule: str, after: datetime) -> datetime | None:
    """The first time of a cron expression after this moment, in UTC; None if there is none.

    In the time zone of the machine. As with Debian's cron, a time that is skipped in spring comes
    right after the gap, and one that comes twice in autumn counts once.
    """
    for time in CronSim(schedule, after.astimezone(LOCAL)):
        # A start in the hour that comes a second time may give a time in the first one.
        if (utc := time.astimezone(UTC)) > after:
            return utc
    return None


class Timetable:
    """The times of one schedule, and which of them have passed."""

    def __init__(self, schedule: str, passed: datetime) -> None:
        """Times up to `passed` are not due any more."""
        self.schedule = schedule
        self.passed = passed
        """Up to this moment, each time has been due once."""
        self.next = next_time(schedule, passed)
        """None if there is none any more."""

    def is_due(self, now: datetime) -> bool:
        """Whether a time has come that has not been let pass."""
        if now < self.passed - CORRECTION:
            self.let_pass(now)
        return self.next is not None and now >= self.next

    def let_pass(self, now: datetime) -> None:
        """Let all times up to this moment pass: they are not due any more."""
        self.passed = now
        self.next = next_time(self.schedule, now)
