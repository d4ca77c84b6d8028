"""Ranges of values that are read from files: validators for the fields of records.

A value out of range would fail where it is used, long after it was read, and so take more with it.
"""

from collections.abc import Mapping
from typing import Any

LATEST = 2.0**33
"""A moment in the year 2242, in seconds since the epoch. Far later ones are no dates in Python."""
LONGEST_NAME = 100
"""Characters of a text that is no text of others."""
LARGEST = 2**53
"""The largest number that JSON and floats can hold exactly."""


def is_moment(_: object, attribute: object, value: Any) -> None:
    """A moment in seconds since the epoch."""
    if not 0 <= value <= LATEST:  # False for NaN, too.
        raise ValueError(f"{value} is not a time")


def is_number(_: object, attribute: object, value: Any) -> None:
    """A finite number."""
    if not -LARGEST <= value <= LARGEST:
        raise ValueError(f"{str(value)[:20]} is out of range")


def is_count(_: object, attribute: object, value: Any) -> None:
    """A number of things, or of seconds that something took."""
    if not 0 <= value <= LARGEST:
        raise ValueError(f"{str(value)[:20]} is out of range")


def are_numbers(_: object, attribute: object, table: Mapping[str, float]) -> None:
    """A table of finite numbers, by short names."""
    for name, value in table.items():
        is_short(_, attribute, name)
        is_number(_, attribute, value)


def is_short(_: object, attribute: object, text: str) -> None:
    """A text that we have made ourselves."""
    if len(text) > LONGEST_NAME:
        raise ValueError(f"has more than {LONGEST_NAME} characters")
