"""The record of a process with a schedule: its last run, and which times have passed."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from attrs import define, field, frozen, validators

from blue_green.site.receipt import short_reason
from blue_green.system.ranges import is_count, is_moment

RunOutcome = Literal["", "ok", "failed", "stopped"]
"""Empty before the end of the first run. A run that was stopped has not failed."""


@frozen
class FailedRun:
    """A run that has failed."""

    process: str
    revision: str
    reason: str
    output: Sequence[str] = ()
    """Its last lines of output."""


@define
class ScheduledRun:
    """The last run of a process with a schedule. It is kept in the state."""

    schedule: str
    passed: float = field(validator=is_moment)
    """Each time up to this moment has been due, in seconds since the epoch."""
    began: float | None = field(default=None, validator=validators.optional(is_moment))
    """None if there was no run yet."""
    seconds: float | None = field(default=None, validator=validators.optional(is_count))
    """How long it took; None while it runs."""
    outcome: RunOutcome = ""
    reason: str = ""
    """How it ended, unless it has succeeded."""
    revision: str = ""

    @property
    def is_running(self) -> bool:
        return self.began is not None and self.seconds is None

    def begin(self, revision: str, now: datetime) -> None:
        self.began, self.seconds, self.revision = now.timestamp(), None, revision
        self.outcome, self.reason = "", ""

    def end(self, outcome: RunOutcome, reason: str, now: datetime) -> None:
        began = now.timestamp() if self.began is None else self.began
        self.seconds = max(0.0, now.timestamp() - began)  # The clock may have been set back.
        self.outcome, self.reason = outcome, short_reason(reason)

    def as_dict(self) -> dict[str, Any] | None:
        """The last run as an object of the control protocol; None if there was none."""
        if self.began is None:
            return None
        return {
            "at": datetime.fromtimestamp(self.began, UTC).isoformat(timespec="seconds"),
            "seconds": self.seconds,
            "outcome": self.outcome or None,
            "reason": self.reason,
            "revision": self.revision,
        }
