"""Values of options that several commands have."""

from collections.abc import Callable
from typing import Any


def seconds_of(text: str) -> float:
    """The value of `--for`; raise `ValueError`."""
    from blue_green.config.kinds import duration  # noqa: PLC0415 - slow to load

    is_bare = text.isascii() and text.replace(".", "", 1).isdecimal()
    return float(named("--for", duration, float(text) if is_bare else text))


def named(option: str, read: Callable[[Any], float], value: Any) -> float:
    """What `read` makes of the value of an option; raise `ValueError` with the option's name."""
    try:
        return read(value)
    except ValueError as error:
        raise ValueError(f"{option} {error}") from None
