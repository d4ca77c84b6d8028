"""Counters of what the gate did with requests, for the report of a swap."""

from attrs import define


@define
class Tally:
    """Counters of what happened to requests."""

    held: int = 0
    longest_hold: float = 0.0
    retried: int = 0
    cut: int = 0
    failed: int = 0
