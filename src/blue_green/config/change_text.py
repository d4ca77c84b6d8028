"""Changed settings in words, with values as the file has them."""

import json
from collections.abc import Sequence
from typing import Any

EFFECTS = {
    "now": "now",
    "next swap": "at the next swap",
    "next build": "at the next build (of what is live: blue-green swap --rebuild)",
    "restart": "needs a restart of the supervisor",
}
"""When a changed setting takes effect, in words."""
UNITS = {
    "s": ((3600, "h"), (60, "m"), (1, "s")),
    "B": (
        (2**30, "GiB"), (10**9, "GB"), (2**20, "MiB"), (10**6, "MB"), (2**10, "KiB"), (10**3, "KB"),
        (1, "B"),
    ),
}  # fmt: skip
"""For values of settings, as the file has them; the smallest at the end."""


def changes(found: Sequence[dict[str, Any]]) -> str:
    """What a reload changes, a line each."""
    return "\n".join(map(change, found)) or "nothing has changed"


def change(entry: dict[str, Any]) -> str:
    """One setting: what it was, what it is, and from when on."""
    old, new = (_value(entry[name], entry.get("unit", "")) for name in ("old", "new"))
    return f"[{entry['section']}] {entry['key']}: {old} -> {new}, {EFFECTS[entry['effect']]}"


def _value(value: Any, unit: str) -> str:
    if value is None:
        return "none"
    if unit and value:
        if unit == "s" and value < 1:
            return f"{value * 1000:g}ms"
        # The largest of which it is a whole number: 90 s are no minutes.
        fits = ((size, name) for size, name in UNITS[unit] if not value % size)
        size, name = next(fits, UNITS[unit][-1])
        return f"{value / size:.15g}{name}"
    return json.dumps(value, ensure_ascii=False) + unit
