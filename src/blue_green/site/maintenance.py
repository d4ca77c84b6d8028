"""Maintenance of a site: when it begins and ends, and what is remembered of it."""

import logging
import math
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import trio

from blue_green.proxy.maintenance import Maintenance
from blue_green.proxy.secret_link import new_token
from blue_green.proxy.served_site import ServedSite
from blue_green.site.maintenance_record import MaintenanceRecord, network
from blue_green.site.notify import MaintenanceOutcome, Notify
from blue_green.site.state import State
from blue_green.site.state_file import StateFile
from blue_green.system import moment_text
from blue_green.system.printable import counted

logger = logging.getLogger(__name__)

LONGEST_SLEEP = 30.0
"""Seconds after which the clock is read again: somebody may have set it."""


class SiteMaintenance:
    """Puts a site in maintenance until `end`, or until the time that was named."""

    def __init__(
        self, served: ServedSite, state: State, file: StateFile, notify: Notify | None = None
    ) -> None:
        """Without `notify`, nothing is reported: the site does not run, nor does its command."""
        self._served = served
        self._state = state
        self._file = file
        self._notify = notify
        self._changed = trio.Event()
        self.clock = time.time

    @property
    def record(self) -> MaintenanceRecord | None:
        """The current maintenance; None if there is none."""
        return self._state.maintenance

    @property
    def link(self) -> str:
        """The path of the secret link, below that of the site; empty if there is none."""
        maintenance = self._served.maintenance
        return maintenance.link.path if maintenance and maintenance.link else ""

    def begin(
        self, *, message: str, until: float | None, allow: Sequence[str], secret: bool
    ) -> None:
        """Begin maintenance, or replace all that was said about the current one.

        A secret link stays the same as long as there is one. Raises `ValueError`.
        """
        before, token = self.record, None
        if secret:
            token = (before and before.token) or new_token()
        since = before.since if before else self.clock()
        record = MaintenanceRecord(since, message, until, list(allow), token)
        self._set(record)
        text = in_words(record)
        logger.info("in maintenance %s: new requests get 503", text)
        self._report("changed" if before else "begun", text)

    def end(self, why: str = "") -> bool:
        """End the maintenance; whether there was one."""
        if self.record is None:
            return False
        self._set(None)
        logger.info("maintenance has ended%s", f": {why}" if why else "")
        self._report("ended", why)
        return True

    def restore(self) -> None:
        """Continue a maintenance from before a restart, before anything is live.

        `run` ends one whose time has passed meanwhile.
        """
        record = self.record
        is_over = record is None or (record.until is not None and record.until <= self.clock())
        self._apply(None if is_over else record)

    async def run(self) -> None:
        """End each maintenance when its time has come, until cancelled."""
        while True:
            self._changed = trio.Event()
            left = math.inf
            if (record := self.record) is not None and record.until is not None:
                left = min(record.until - self.clock(), LONGEST_SLEEP)
                if left <= 0:
                    self.end("its time is over")
                    continue
            with trio.move_on_after(left):
                await self._changed.wait()

    def as_dict(self) -> dict[str, Any] | None:
        """The maintenance as the status shows it, without the link; None if there is none."""
        record = self.record
        if record is None:
            return None
        return {
            "message": record.message,
            "since": _iso(record.since),
            "until": None if record.until is None else _iso(record.until),
            "allow": list(record.allow),
            "has_link": record.token is not None,
        }

    def _report(self, outcome: MaintenanceOutcome, text: str) -> None:
        if self._notify is not None:
            self._notify.report_maintenance(outcome, text)

    def _set(self, record: MaintenanceRecord | None) -> None:
        self._state.maintenance = record
        self._file.change()
        self._changed.set()
        self._apply(record)

    def _apply(self, record: MaintenanceRecord | None) -> None:
        """Let it apply to requests: to new ones, and when it begins also to those that wait."""
        served, has_begun = self._served, self._served.maintenance is None
        if record is None:
            served.maintenance = None
            return
        allow = [network(text) for text in record.allow]
        served.maintenance = Maintenance(record.message, record.until, allow, record.token)
        if has_begun:
            served.gate.queue.check_held()


def in_words(record: MaintenanceRecord) -> str:
    """Until when, and who is admitted."""
    admitted = []
    if record.allow:
        admitted.append(counted(len(record.allow), "network"))
    if record.token:
        admitted.append("the secret link")
    end = "until further notice"
    if record.until is not None:
        end = f"until {moment_text.in_full(record.until)}"
    return f"{end}, except for {' and '.join(admitted)}" if admitted else end


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
