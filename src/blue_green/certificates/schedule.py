"""When certificates are renewed, and when a failed attempt is repeated.

Pure functions. `spread` is a number from 0 to 1, by which many hosts do not act at one moment.
"""

from datetime import datetime, timedelta

RENEW_AT = 2 / 3
EARLIER = 1 / 15
"""Parts of a certificate's life: it is renewed so late, or up to so much earlier."""
LATEST_ADVICE = 9 / 10
"""The part of the life after which the authority's advice to wait is not followed."""
SOONEST_ADVICE = 1 / 10
SOON = timedelta(days=1)
"""The authority's advice to renew is followed after this part of the life, but at most after a day:
or else one that always gives it would have us renew all the time."""

FIRST_WAIT = timedelta(minutes=1)
GROWTH = 3
"""Attempts in the first hour: after 0, 1, 4, 13 and 40 minutes. Let's Encrypt allows five failed
validations for a host in an hour."""
LONGEST_WAIT = timedelta(days=1)
SHORTEST_LIMIT = timedelta(minutes=30)
PART_OF_LIFE = 1 / 24
"""Certificates that live for few days are asked for more often, but not more than half-hourly."""
SPREAD = 1 / 10
"""The part by which a wait may be longer."""
MOST_GROWTHS = 10

ASK_SOONEST, ASK_LATEST = timedelta(minutes=1), timedelta(days=1)
"""Limits of how often the authority's advice is asked for (RFC 9773 section 4.3.2)."""
ASK_AFTER_FAILURE = timedelta(hours=6)


def renewal(
    valid_from: datetime, valid_until: datetime, spread: float, advised: datetime | None = None
) -> datetime:
    """When to renew a certificate: at the authority's advice, else after two thirds of its life."""
    life = valid_until - valid_from
    if advised is None:
        return valid_from + life * (RENEW_AT - EARLIER * spread)
    soonest = valid_from + min(SOON, life * SOONEST_ADVICE)
    return max(soonest, min(advised, valid_from + life * LATEST_ADVICE))


def next_attempt(
    now: datetime,
    failures: int,
    spread: float,
    *,
    allowed_at: datetime | None = None,
    life: timedelta | None = None,
) -> datetime:
    """When to try again after so many failures in a row.

    Not before `allowed_at`, unless that is more than a day away. `life` is that of the current
    certificate, if there is one.
    """
    longest = LONGEST_WAIT
    if life is not None:
        longest = min(longest, max(SHORTEST_LIMIT, life * PART_OF_LIFE))
    growths = max(0, min(failures - 1, MOST_GROWTHS))
    wait = min(longest, FIRST_WAIT * float(GROWTH**growths))
    return max(now + wait * (1 + SPREAD * spread), allowed(now, allowed_at) or now)


def allowed(now: datetime, allowed_at: datetime | None) -> datetime | None:
    """When the authority allows another attempt, or a day from now if that is later."""
    return None if allowed_at is None else min(allowed_at, now + LONGEST_WAIT)


def ask_again(now: datetime, asked_for: datetime | None) -> datetime:
    """When to ask for the authority's advice again; it has said when, or could not be asked."""
    if asked_for is None:
        return now + ASK_AFTER_FAILURE
    return min(max(asked_for, now + ASK_SOONEST), now + ASK_LATEST)


def is_due(at: datetime, now: datetime) -> bool:
    """Whether the time for a repeated attempt has come.

    Also if it is further away than any of them can be: then the clock has been set back.
    """
    return at <= now or at > now + LONGEST_WAIT * (1 + 2 * SPREAD)
