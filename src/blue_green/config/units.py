"""Units of durations and sizes, as they are written in the settings file."""

from typing import Literal

Unit = Literal["", "s", "B", "%"]
"""The unit of a number: seconds, bytes, percent, or none."""

SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1, "ms": 0.001}
BYTES = {
    "GiB": 2**30, "GB": 10**9, "MiB": 2**20, "MB": 10**6, "KiB": 2**10, "KB": 10**3, "B": 1,
}  # fmt: skip
"""The largest unit first."""


def written(value: float, unit: str) -> str:
    """The value in the largest unit of which it is a whole number: 90 is `90s`, and 120 is `2m`."""
    if unit == "%":
        return f"{value:g}%"
    if unit == "s" and 0 < value < 1:
        return f"{value * 1000:g}ms"
    names = SECONDS if unit == "s" else BYTES
    fitting = (name for name, size in names.items() if value and size >= 1 and not value % size)
    name = next(fitting, unit)
    return f"{value / names[name]:.15g}{name}"
