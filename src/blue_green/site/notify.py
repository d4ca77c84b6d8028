"""Notifications: a command of the owner's, which runs after swaps, crashes and failed runs, for
certificates, when a canary or a preview begins, and when maintenance begins, changes or ends.

It gets one JSON object on its standard input. The rules:

- Nothing waits for the command. Events queue up to a bound; then the oldest are dropped.
- One command runs at a time, so that events arrive in the order in which they happened.
- It runs as the app's user: we may be root, and its input contains lines that the app wrote.
- Its failures are logged, and have no other effect.
"""

import json
import logging
import socket
import time
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import trio

from blue_green.certificates.host_certificate import HostCertificate
from blue_green.config.settings import SiteSettings
from blue_green.site.crash import Crash
from blue_green.site.receipt import Receipt
from blue_green.site.scheduled_run import FailedRun
from blue_green.site.trial_plan import TrialKind
from blue_green.system import command
from blue_green.system.cannot_start import CannotStart
from blue_green.system.environment import environment
from blue_green.system.users import User

logger = logging.getLogger(__name__)

MAX_WAITING = 20
"""Events that may wait for the command: later ones would be reported too late to be of use."""
MAX_CRASHES = 10
"""Crashes that are reported in each `CRASH_PERIOD`: a request that kills the app may come often."""
CRASH_PERIOD = 600.0
MAX_CERTIFICATES = 20
"""Certificates that one event lists."""
FLUSH_TIMEOUT = 5.0
"""Seconds for waiting events when the supervisor stops, or is upgraded."""

MaintenanceOutcome = Literal["begun", "changed", "ended"]
CertificateOutcome = Literal["valid", "failing", "expiring", "expired"]


class Notify:
    """Runs the command of `[notify]` for each event."""

    def __init__(self, settings: SiteSettings, user: User) -> None:
        """The command runs as this user, in the directory of the settings file."""
        self._settings = settings
        self._user = user
        self._waiting: deque[dict[str, Any]] = deque()
        self._crashes: deque[float] = deque(maxlen=MAX_CRASHES)
        """Times of the last crashes that were reported."""
        self._unreported = 0
        self._more = trio.Event()
        self._idle = trio.Event()
        self._idle.set()

    def use(self, settings: SiteSettings) -> None:
        """Use these settings from now on, also for events that are waiting."""
        self._settings = settings

    def report_swap(self, receipt: Receipt) -> None:
        """Report that a swap has ended."""
        fields = receipt.as_dict()
        same = ("at", "outcome", "revision", "subject", "previous", "reason", "output")
        self._add({"event": "swap", **{key: fields[key] for key in same}, "receipt": fields})

    def report_crash(self, crash: Crash) -> None:
        """Report that a live backend or a process has ended, or failed to restart."""
        if (unreported := self._count_crash()) is None:
            return
        address = crash.address
        self._add_event(
            "crash",
            "crashed",
            crash.reason,
            revision=crash.revision,
            output=crash.output,
            slot=crash.slot,
            process=crash.process or None,
            port=address.port or None if address else None,
            socket=str(address.path) if address and address.path else None,
            deaths=crash.deaths,
            untold=unreported,
        )

    def report_failed_run(self, run: FailedRun) -> None:
        """Report that a run of a process with a schedule has failed. It counts as a crash."""
        if (unreported := self._count_crash()) is None:
            return
        self._add_event(
            "run",
            "failed",
            run.reason,
            revision=run.revision,
            output=run.output,
            process=run.process,
            untold=unreported,
        )

    def report_certificates(
        self,
        outcome: CertificateOutcome,
        reason: str,
        certificates: Sequence[HostCertificate],
        now: datetime,
    ) -> None:
        """Report certificates that need attention, or are well again; `reason` names the first."""
        self._add_event(
            "certificate",
            outcome,
            reason,
            at=now,
            certificates=[one.as_dict(now) for one in certificates[:MAX_CERTIFICATES]],
            more_certificates=max(0, len(certificates) - MAX_CERTIFICATES),
        )

    def report_maintenance(self, outcome: MaintenanceOutcome, reason: str) -> None:
        """Report that maintenance of the site has begun, changed or ended."""
        self._add_event("maintenance", outcome, reason)

    def report_trial(self, kind: TrialKind, revision: str, subject: str, reason: str) -> None:
        """Report that a canary or a preview has begun; its end is that of a swap."""
        self._add_event(kind.value, "begun", reason, revision=revision, subject=subject)

    async def run(self) -> None:
        """Run the command for each event, until cancelled."""
        while True:
            while not self._waiting:
                self._idle.set()
                self._more = trio.Event()
                await self._more.wait()
            await self._run_command(self._waiting.popleft())

    async def finish(self) -> None:
        """Wait a few seconds for the command to handle the events that are waiting."""
        with trio.move_on_after(FLUSH_TIMEOUT) as limit:
            await self._idle.wait()
        if limit.cancelled_caught:
            logger.warning("[notify] command is too slow: some events were not reported")

    def _count_crash(self) -> int | None:
        """How many were not reported since the last one; None if this one is not, either."""
        now = time.monotonic()
        if len(self._crashes) == MAX_CRASHES and now - self._crashes[0] < CRASH_PERIOD:
            if not self._unreported:
                logger.warning("[notify] command: too many crashes, not all are reported")
            self._unreported += 1
            return None
        self._crashes.append(now)
        unreported, self._unreported = self._unreported, 0
        return unreported

    def _add_event(
        self,
        event: str,
        outcome: str,
        reason: str,
        *,
        revision: str | None = None,
        output: Sequence[str] = (),
        at: datetime | None = None,
        **more: Any,
    ) -> None:
        """Add an event other than a swap, with the same fields and `more`."""
        self._add(
            {
                "event": event,
                "at": (at or datetime.now(UTC)).isoformat(timespec="seconds"),
                "outcome": outcome,
                "revision": revision,
                "subject": None,
                "previous": None,
                "reason": reason,
                "output": list(output),
                "receipt": None,
                **more,
            }
        )

    def _add(self, event: dict[str, Any]) -> None:
        if self._settings.notify.command is None:
            return
        if len(self._waiting) >= MAX_WAITING:
            dropped = self._waiting.popleft()
            logger.warning(
                "[notify] command is too slow: dropped the %s event of %s",
                dropped["event"], dropped["at"],
            )  # fmt: skip
        source = {
            "site": self._settings.name,
            "name": self._settings.app.name,
            "host": socket.gethostname(),
        }
        self._waiting.append({"event": event["event"], **source, **event})
        if self._idle.is_set():
            self._idle = trio.Event()
        self._more.set()

    async def _run_command(self, event: dict[str, Any]) -> None:
        argv, timeout = self._settings.notify.command, self._settings.notify.timeout
        if argv is None:
            return  # A reload has removed it.
        try:
            done = await command.run(
                argv,
                cwd=self._settings.file.parent,
                env=environment(self._settings, {}),
                user=self._user,
                timeout=timeout,
                inherits=True,
                stdin=json.dumps(event).encode() + b"\n",
            )
        except (CannotStart, OSError) as error:
            logger.error("[notify] command: %s", error)
        else:
            if not done.ok:
                last = f": {done.tail[-1]}" if done.tail else ""
                logger.error("[notify] command: %s%s", done, last)
