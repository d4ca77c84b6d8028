"""What a site remembers over a restart.

Somebody may have edited the file, or the disk may have damaged it: each value has its range.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Literal

import attrs
from attrs import define, field, validators

from blue_green.site.maintenance_record import MaintenanceRecord
from blue_green.site.receipt import Receipt, short_reason
from blue_green.site.scheduled_run import ScheduledRun
from blue_green.source.revision import REVISION
from blue_green.system.ranges import is_count, is_moment, is_short

VERSION = 1
HISTORY = 50
MIGRATED = 50
"""Revisions to remember; git knows which others are ancestors of one of them."""
MOST_PIDS = 2**22
"""More than a pid can be (proc(5))."""


def _is_revision(_: object, attribute: object, text: str) -> None:
    if not REVISION.fullmatch(text):
        raise ValueError("is not a revision")


def _are_revisions(_: object, attribute: object, texts: Sequence[str]) -> None:
    for text in texts:
        _is_revision(_, attribute, text)


def _is_pid(_: object, attribute: object, pid: int) -> None:
    if not 1 < pid < MOST_PIDS:
        raise ValueError("is not the pid of a backend")


@define
class Live:
    """The last release that was promoted, and its slot."""

    slot: Literal["blue", "green"]
    revision: str = field(validator=_is_revision)


@define
class RecordedTrial:
    """A canary or preview that ran when the file was written."""

    revision: str = field(validator=_is_revision)
    kind: str = field(validator=is_short)
    asked_by: str = field(validator=is_short)
    """The trigger of its swap."""
    is_head: bool
    """The checkout's HEAD was at this revision."""
    is_by_settings: bool
    """The settings asked for it, and nobody else."""
    subject: str = ""
    """The subject line of the commit, if it is known."""


@define
class RecordedBackend:
    """A backend or process that ran when the file was written: pid and start time (proc(5))."""

    pid: int = field(validator=_is_pid)
    began: int = field(validator=is_count)


@define
class SleepRecord:
    """How a site sleeps, and has woken so far."""

    since: float | None = field(default=None, validator=validators.optional(is_moment))
    """When it fell asleep, in seconds since the epoch; None if it is awake."""
    wakes: int = field(default=0, validator=is_count)
    """How often a request has woken it, and it has started."""
    failed_wakes: int = field(default=0, validator=is_count)
    """How often it has not started."""
    wake_seconds: float = field(default=0.0, validator=is_count)
    """How long all starts together took that succeeded."""
    last_wake_seconds: float | None = field(default=None, validator=validators.optional(is_count))


def _are_ports(_: object, attribute: object, found: dict[str, list[int]]) -> None:
    if found.keys() - {"blue", "green"}:
        raise ValueError("ports: there are only blue and green")
    for port in (port for ports in found.values() for port in ports):
        if not 0 < port < 65536:
            raise ValueError(f"{port} is not a port")


def _are_releases(_: object, attribute: object, served: dict[str, str]) -> None:
    for name, revision in served.items():
        if not REVISION.fullmatch(revision) or not re.fullmatch(r"[0-9a-f]+(-\d+)?", name):
            raise ValueError(f"{name} is not a release")


def _bounded(quarantine: Mapping[str, str]) -> dict[str, str]:
    newest = list(quarantine.items())[-HISTORY:]
    return {revision: short_reason(why) for revision, why in newest}


@define
class State:
    """The state of a site; the essential part comes first."""

    version: int = VERSION
    live: Live | None = None
    ports: dict[str, list[int]] | None = field(
        default=None, validator=validators.optional(_are_ports)
    )
    """Slot -> the ports that were found for its backends."""
    previous: str | None = field(default=None, validator=validators.optional(_is_revision))
    """The revision that was live before, to which `rollback` goes back."""
    head: str | None = field(default=None, validator=validators.optional(_is_revision))
    """The last HEAD that was handled, whatever the outcome."""
    paused_until: float | None = field(default=None, validator=validators.optional(is_moment))
    """When a pause ends, in seconds since the epoch."""
    sleep: SleepRecord | None = None
    """None if it has never slept."""
    trial: RecordedTrial | None = None
    """The canary or preview that has not gone live, until the receipt of its swap."""
    maintenance: MaintenanceRecord | None = None
    """The current maintenance, if there is one."""
    boot: str = field(default="", validator=is_short)
    """The boot ID that the backends' start times belong to."""
    backends: list[RecordedBackend] = field(factory=list)
    served: dict[str, str] = field(factory=dict, validator=_are_releases)
    """The releases that have been live, the last one first: directory -> revision."""
    migrated: list[str] = field(factory=list, validator=_are_revisions)
    """The last revisions whose `migrate` has succeeded here, the newest at the end."""
    schedules: dict[str, ScheduledRun] = field(factory=dict)
    """Name of a process -> its last run; the most recently used ones at the end."""
    quarantine: dict[str, str] = field(factory=dict, converter=_bounded)
    """Revision -> why it failed; the newest at the end."""
    history: list[Receipt] = field(factory=list)
    """The last swaps, the newest at the end."""

    def last_output(self, revision: str) -> Sequence[str]:
        """The last lines of output of its newest failed swap, if there is a receipt of one."""
        swaps = (swap for swap in reversed(self.history) if swap.revision == revision)
        return next((swap.output for swap in swaps if swap.output), ())

    def remember(self, receipt: Receipt) -> None:
        """Add a receipt to the history; a repeated failure replaces the one before.

        A revision that leaves the history also leaves quarantine.
        """
        before = self.history[:-1] if self.is_repeated(receipt) else self.history
        self.history = [*before, receipt][-HISTORY:]
        known = {receipt.revision for receipt in self.history}
        self.quarantine = {
            revision: why for revision, why in self.quarantine.items() if revision in known
        }

    def is_repeated(self, receipt: Receipt) -> bool:
        """Whether this was an automatic retry that failed in the same way."""
        last = self.history[-1] if self.history else None
        if last is None or not (last.retry_in and receipt.retry_in):
            return False
        return (last.revision, last.reason) == (receipt.revision, receipt.reason)

    def put_in_quarantine(self, revision: str, why: str) -> None:
        """Keep this revision from being deployed until somebody requests a retry."""
        others = {other: text for other, text in self.quarantine.items() if other != revision}
        self.quarantine = {**others, revision: why}

    def snapshot(self) -> "State":
        """A copy that later changes do not affect."""
        return attrs.evolve(self)

    def note_migrated(self, revision: str) -> None:
        self.migrated = [*self.migrated, revision][-MIGRATED:]


def quarantined(reason: str, retry: str) -> str:
    """Why a revision is not deployed, for people. `retry` is the command that deploys it."""
    return f"it is in quarantine (to deploy it anyway: {retry}): {reason}"
