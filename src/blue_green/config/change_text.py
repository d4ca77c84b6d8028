"""Changed settings in words, with the values as they are written in the settings file."""

import json
from collections.abc import Sequence
from typing import Any

from blue_green.config.effects import Effect
from blue_green.config.units import written


def changes(found: Sequence[dict[str, Any]]) -> str:
    """What a reload changes, one line per setting or site."""
    return "\n".join(map(change, found)) or "nothing has changed"


def change(entry: dict[str, Any]) -> str:
    """What has changed: a setting with its old and its new value, or a site; and when."""
    section, key = entry["section"], entry["key"]
    effect = Effect(entry["effect"]).in_words(entry.get("site", ""))
    if not key:
        what = " -> ".join(value for value in (entry["old"], entry["new"]) if value)
        return f"{section}: {what}, {effect}"
    old, new = (_value(entry[name], entry.get("unit", "")) for name in ("old", "new"))
    where = f"[{section}] {key}" if section else key
    return f"{where}: {old} -> {new}, {effect}"


def _value(value: Any, unit: str) -> str:
    if value is None:
        return "none"
    return written(value, unit) if unit else json.dumps(value, ensure_ascii=False)
