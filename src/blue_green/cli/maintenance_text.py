"""The maintenance of a site in words, for `status` and `maintenance`."""

from collections.abc import Mapping
from typing import Any

from blue_green.cli import moments
from blue_green.system.printable import counted


def summary(site: Mapping[str, Any]) -> str:
    """Until when a site is in maintenance, and who is admitted; empty if it is not."""
    found = site.get("maintenance")  # Missing in the answers of older supervisors.
    return details(found) if found else ""


def until(moment: str | None) -> str:
    """When it ends by itself, if it does."""
    return f"until {moment}" if moment else "until further notice"


def details(found: Mapping[str, Any]) -> str:
    """Until when, since when, who is admitted, and the message."""
    end = until(moments.with_zone(found["until"]) if found["until"] else None)
    parts = [f"new requests get 503 {end}, since {moments.since(found['since'])}"]
    admitted = list(found["allow"][:3])
    if len(found["allow"]) > len(admitted):
        admitted.append(counted(len(found["allow"]) - len(admitted), "more network"))
    if found["has_link"]:
        admitted.append("holders of the secret link")
    parts.append(f"admitted: {', '.join(admitted) or 'nobody'}")
    if found["message"]:
        parts.append(f"message: {found['message']}")
    return "; ".join(parts)
