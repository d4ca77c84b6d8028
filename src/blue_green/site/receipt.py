"""The receipt of a swap: what it did, in numbers."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

import attrs
from attrs import define, field, validators

from blue_green.routing.results import ResultSummary
from blue_green.site import result_text, swap_text
from blue_green.system.ranges import are_numbers, is_number, is_short
from blue_green.system.tail import last, shortened

Result = Literal["promoted", "failed", "superseded", "reverted", "aborted", "unchanged"]

LONGEST_SUBJECT = 500
"""Bytes in UTF-8, as in the next one."""
LONGEST_REASON = 2000


def _short_subject(text: str) -> str:
    return shortened(text, LONGEST_SUBJECT)


def short_reason(text: str) -> str:
    """A reason for a failure, cut to the length that receipts may have."""
    return shortened(text, LONGEST_REASON)


def _is_time(_: object, attribute: object, text: str) -> None:
    try:
        is_in_utc = not text or datetime.fromisoformat(text).utcoffset() == timedelta(0)
    except ValueError:
        is_in_utc = False
    if not is_in_utc:
        raise ValueError("is not a time in UTC")


@define
class Receipt:
    """How a swap ended. The fields are the keys of its JSON object, and must not be renamed.

    Texts from outside are shortened: receipts are stored, sent and shown by the dozen.
    """

    outcome: Result
    revision: str = field(validator=is_short)
    subject: str = field(default="", converter=_short_subject)
    """The subject line of the commit, if it is known."""
    previous: str | None = field(default=None, validator=validators.optional(is_short))
    """The revision that was live before."""
    reason: str = field(default="", converter=short_reason)
    """Why it failed, was superseded or was reverted."""
    warning: str = field(default="", converter=short_reason)
    """Data that the app wrote into the release that is no longer live, and what to do about it."""
    output: Sequence[str] = field(default=(), converter=last)
    """The last lines of the candidate's output, if it failed."""
    held: int = field(default=0, validator=is_number)
    """Requests that waited at the gate."""
    longest_hold: float = field(default=0.0, validator=is_number)
    """Seconds."""
    retried: int = field(default=0, validator=is_number)
    """Requests that were retried on another backend or connection."""
    cut: int = field(default=0, validator=is_number)
    """Requests that were cut because `drain_timeout` was over."""
    drained: int = field(default=0, validator=is_number)
    """Requests that were in flight at the switch, and that the old backend finished."""
    failed: int = field(default=0, validator=is_number)
    """Requests that a backend failed to answer."""
    seconds: dict[str, float] = field(factory=dict, validator=are_numbers)
    """How long each phase took."""
    results: ResultSummary | None = None
    """Those of the new release from the switch to the end of the soak; None without a soak."""
    previous_results: ResultSummary | None = None
    """The recent ones of the release before."""
    trial_results: ResultSummary | None = None
    """Those of the new release during its canary or preview; None if there was none."""
    trial_live_results: ResultSummary | None = None
    """Those of the live release meanwhile."""
    retry_in: float = field(default=0.0, validator=is_number)
    """Seconds until it is retried automatically; 0 if it is not."""
    asked_by: str = field(default="", validator=is_short)
    """A `Trigger`; empty in receipts of older versions."""
    at: str = field(default="", validator=_is_time)
    """When it ended: ISO 8601, UTC."""

    def as_dict(self) -> dict[str, Any]:
        return attrs.asdict(self, value_serializer=_plain)

    def __str__(self) -> str:
        fields = attrs.asdict(self)
        return "; ".join([swap_text.numbers(fields), *result_text.of_receipt(fields)])


def _plain(_: Any, __: Any, value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value
