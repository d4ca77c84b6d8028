"""The field Retry-After of a certificate authority (RFC 9110 section 10.2.3)."""

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

LONGEST = timedelta(days=7)
"""Rate limits of public authorities end within a week."""


def moment(field: str | None, now: datetime, longest: timedelta = LONGEST) -> datetime | None:
    """When another attempt is allowed; None if the field is missing or means nothing.

    A moment in the past becomes now, and one too far in the future becomes `longest` from now.
    """
    if field is None:
        return None
    if re.fullmatch("[0-9]+", field):
        return now + min(timedelta(seconds=int(field[:9])), longest)
    try:
        then = parsedate_to_datetime(field)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if then.tzinfo is None:  # A date in "-0000".
        then = then.replace(tzinfo=UTC)
    return max(now, min(then, now + longest))


def seconds(field: str | None, longest: float) -> float | None:
    """The same, in seconds from now."""
    now = datetime.now(UTC)
    then = moment(field, now, timedelta(seconds=longest))
    return None if then is None else (then - now).total_seconds()
