"""Delays that double with each failure in a row, up to a limit."""

MOST_DOUBLINGS = 60
"""A float has no place for much more than a thousand, and failures may go on for days."""


def delay_after(failures: int, *, first: float, longest: float) -> float:
    """Seconds to wait after so many failures in a row."""
    return min(first * 2.0 ** min(failures - 1, MOST_DOUBLINGS), longest)
