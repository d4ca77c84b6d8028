"""The releases in the slots, as the supervisor reports them, in words."""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from blue_green.cli import moments
from blue_green.system.printable import counted


def place(slot: Mapping[str, Any]) -> str:
    """Where it listens, its processes, and when its release went live.

    A backend may be younger than that: after a crash or a sleep it is started again.
    """
    since = f", went live {moments.ago(slot['since'])}" if slot["since"] else ""
    if slot.get("is_static"):  # An older supervisor does not send it.
        return f"{slot['slot']}, a static site{since}"
    sockets = slot.get("sockets", [])  # Nor this.
    where = f"port {', '.join(map(str, slot['ports']))}"
    if len(sockets) == 1:
        where = f"socket {sockets[0]}"
    elif sockets:
        names = ", ".join(PurePath(path).name for path in sockets)
        where = f"sockets {names} in {PurePath(sockets[0]).parent}"
    pids = ", ".join(map(str, slot["pids"]))
    running = f"pid {pids}" if pids else "not running"
    return f"{slot['slot']}, {where}, {running}{since}"


def what_is_left(retiring: Mapping[str, Any]) -> str:
    """What a retiring release still has to finish."""
    left = ", ".join(
        counted(retiring[key], name)
        for key, name in (("in_flight", "request"), ("streams", "stream"))
        if retiring[key]
    )
    if not left:
        return f"stopping in {place(retiring)}"
    return f"{left} for up to {retiring['seconds_left']:.0f} s more, in {place(retiring)}"
