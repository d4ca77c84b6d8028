"""Changed settings in words, with the values as they are written in the settings file."""

import json
from collections.abc import Sequence
from typing import Any

from blue_green.config.effects import Effect
from blue_green.config.units import written


def changes(found: Sequence[dict[str, Any]]) -> str:
    """What a reload changes, one line per setting."""
    return "\n".join(map(change, found)) or "nothing has changed"


def change(entry: dict[str, Any]) -> str:
    """One setting: its old value, its new value, and when that takes effect."""
    old, new = (_value(entry[name], entry.get("unit", "")) for name in ("old", "new"))
    return (
        f"[{entry['section']}] {entry['key']}: {old} -> {new}, {Effect(entry['effect']).in_words}"
    )


def _value(value: Any, unit: str) -> str:
    if value is None:
        return "none"
    return written(value, unit) if unit else json.dumps(value, ensure_ascii=False)
