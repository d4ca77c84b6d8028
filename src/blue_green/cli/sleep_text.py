"""How a site sleeps, as the supervisor reports it, in words."""

from collections.abc import Mapping
from typing import Any

from blue_green.cli import moments
from blue_green.config.units import written
from blue_green.system.printable import counted


def line(site: Mapping[str, Any]) -> str:
    """Since when it is asleep, and how it has woken; "" if it never sleeps."""
    sleep = site.get("sleep")  # Missing in the answers of older supervisors.
    if not sleep:
        return ""
    parts = [_state(sleep)]
    if sleep["wakes"]:
        parts.append(f"woken {counted(sleep['wakes'], 'time')}")
    if sleep["last_wake_seconds"] is not None:
        parts.append(f"the last wake took {sleep['last_wake_seconds']:.1f} s")
    if sleep["failed_wakes"]:
        parts.append(f"failed to wake {counted(sleep['failed_wakes'], 'time')}")
    return ", ".join(parts)


def failure(site: Mapping[str, Any]) -> str:
    """What its last crash means, if it is asleep."""
    return "it failed to wake" if (site.get("sleep") or {}).get("since") else ""


def _state(sleep: Mapping[str, Any]) -> str:
    if sleep["since"]:
        return f"asleep since {moments.since(sleep['since'])}"
    if sleep["state"] != "awake" or sleep["after"] is None:
        return str(sleep["state"])
    return f"awake, sleeps when nobody has used it for {written(sleep['after'], 's')}"
