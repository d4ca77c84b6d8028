"""Canaries and previews, as the supervisor reports them, in words."""

from collections.abc import Mapping
from typing import Any

from blue_green.cli import moments
from blue_green.config.units import written


def line(trial: Mapping[str, Any]) -> str:
    """Which clients it is for, how long it lasts, and what ends it."""
    clients = "those with the secret link"
    if trial["kind"] == "canary":
        clients = f"{written(trial['percent'], '%')} of the clients"
    left = moments.left(trial["seconds_left"])
    return f"for {clients}, {left} left: {trial['to_decide']}"


def preview(result: Mapping[str, Any]) -> str:
    """The secret link of a preview, and what to do with it."""
    left = moments.left(result["seconds_left"])
    return "\n".join(
        [
            f"preview of {result['revision'][:7]} for {left}: whoever opens this link sees it, and",
            "all others see the live release:",
            *(f"  {link}" for link in result["links"]),
            result["to_decide"],
        ]
    )
