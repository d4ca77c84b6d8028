"""What a swap did, in numbers."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import attrs
from attrs import define, field

from blue_green.system.tail import last, shortened

Result = Literal["promoted", "failed", "superseded", "reverted", "unchanged"]

LONGEST_SUBJECT = 500
"""Bytes in UTF-8, as is the next."""
LONGEST_REASON = 2000


def _short_subject(text: str) -> str:
    return shortened(text, LONGEST_SUBJECT)


def short_reason(text: str) -> str:
    """What is kept of why something failed."""
    return shortened(text, LONGEST_REASON)


@define
class Receipt:
    """The end of a swap. The names of the fields are the keys of its JSON object, and are kept.

    Texts that others wrote are shortened: receipts are remembered, sent and shown by the dozen.
    """

    outcome: Result
    revision: str
    subject: str = field(default="", converter=_short_subject)
    """The first line of the revision's commit message, if it is known."""
    previous: str | None = None
    """What was live before."""
    reason: str = field(default="", converter=short_reason)
    """Why it failed, was superseded or was reverted."""
    warning: str = field(default="", converter=short_reason)
    """What the app has written into the release that was left, and what to do about it."""
    output: Sequence[str] = field(default=(), converter=last)
    """The last lines of the candidate, if it failed."""
    held: int = 0
    """Requests that waited at the gate."""
    longest_hold: float = 0.0
    """Seconds."""
    retried: int = 0
    """Requests that were sent again, to another backend or connection."""
    cut: int = 0
    """Requests and tunnels that we ended, because their time to drain was up."""
    drained: int = 0
    """Requests that were in flight at the switch, and that the old backend finished."""
    failed: int = 0
    """Requests that a backend failed to answer."""
    seconds: dict[str, float] = field(factory=dict)
    """How long each phase took."""
    retry_in: float = 0.0
    """Seconds after which it is tried again by itself; 0 if it is not."""
    asked_by: str = ""
    """A `Trigger`; nothing in receipts of older versions."""
    at: str = ""
    """When it ended: ISO 8601, UTC."""

    def as_dict(self) -> dict[str, Any]:
        return attrs.asdict(self, value_serializer=_plain)

    def __str__(self) -> str:
        total = sum(self.seconds.values())
        return (
            f"held {self.held}, longest {self.longest_hold:.1f} s, retried {self.retried}, "
            f"cut {self.cut}, failed {self.failed}, drained {self.drained}, took {total:.2f} s"
        )


def _plain(_: Any, __: Any, value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value
