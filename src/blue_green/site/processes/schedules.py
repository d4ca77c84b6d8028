"""The timetables of the processes of a site, over swaps, upgrades and restarts."""

from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta

import trio

from blue_green.site.processes.timetable import Timetable
from blue_green.site.scheduled_run import ScheduledRun
from blue_green.site.state import State
from blue_green.site.state_file import StateFile

CATCH_UP = timedelta(minutes=10)
"""A time that was missed because no supervisor ran is due if that is not longer ago than this."""
LONGEST_SLEEP = 15.0
"""Seconds after which the clock is read again: it may have been set, or the machine suspended."""
MAX_RECORDS = 200
"""Records of processes that are no longer in the settings are forgotten beyond this."""


def now() -> datetime:
    return datetime.now(UTC)


class Schedules:
    """When each process with a schedule is due, and how its last run went."""

    def __init__(
        self, state: State, state_file: StateFile, clock: Callable[[], datetime] = now
    ) -> None:
        self.clock = clock
        self._state = state
        self._state_file = state_file
        self._tables: dict[str, Timetable] = {}

    def record(self, name: str, schedule: str) -> ScheduledRun:
        """The record of a process, which begins with these times if they are new."""
        records = self._state.schedules
        found = records.pop(name, None)
        if found is None:
            found = ScheduledRun(schedule, self.clock().timestamp())
        elif found.schedule != schedule:
            found.schedule, found.passed = schedule, self.clock().timestamp()
        records[name] = found
        while len(records) > MAX_RECORDS:
            del records[next(iter(records))]
        return found

    def next_time(self, name: str) -> datetime | None:
        """When a process is due next; None if that is not known, or never."""
        return self._tables[name].next if name in self._tables else None

    def last_run(self, name: str) -> ScheduledRun | None:
        return self._state.schedules.get(name)

    async def until_due(self, name: str, schedule: str) -> datetime:
        """Wait until a time of this schedule has come; which one. `let_pass` must follow."""
        table = self._table(name, schedule)
        while not table.is_due(moment := self.clock()):
            left = LONGEST_SLEEP if table.next is None else (table.next - moment).total_seconds()
            await trio.sleep(min(left, LONGEST_SLEEP))
        return table.next or moment

    def let_pass(self, name: str, schedule: str) -> None:
        """Let the time that is due pass, and all that were missed before it."""
        table = self._table(name, schedule)
        table.let_pass(self.clock())
        self.record(name, schedule).passed = table.passed.timestamp()
        self._state_file.change()

    def keep(self, names: Collection[str]) -> None:
        """Forget the times of all other processes, which are not in the live release any more.

        If one comes back later, it has missed nothing.
        """
        self._tables = {name: table for name, table in self._tables.items() if name in names}

    def note_change(self) -> None:
        """Have a changed record written."""
        self._state_file.change()

    def _table(self, name: str, schedule: str) -> Timetable:
        table = self._tables.get(name)
        if table is None or table.schedule != schedule:
            passed = datetime.fromtimestamp(self.record(name, schedule).passed, UTC)
            table = Timetable(schedule, max(passed, self.clock() - CATCH_UP))
            self._tables[name] = table
        return table
