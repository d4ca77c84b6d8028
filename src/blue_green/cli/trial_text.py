"""Canaries and previews, as the supervisor reports them, in words."""

from collections.abc import Mapping
from typing import Any

from blue_green.cli import moments
from blue_green.config.units import written


def line(trial: Mapping[str, Any]) -> str:
    """Whom it is for, how long it lasts, and what ends it."""
    whom = "those with the secret link"
    if trial["kind"] == "canary":
        whom = f"{written(trial['percent'], '%')} of the clients"
    left = moments.duration(trial["seconds_left"])
    return f"for {whom}, {left} left: blue-green promote or abort"
