"""What a supervisor answers, for tests of how that is shown."""

from datetime import UTC, datetime, timedelta
from typing import Any

LIVE, BAD, NEW = "1" * 40, "b" * 40, "c" * 40


def ago(**time: int) -> str:
    """A moment that long ago, as the protocol has it."""
    return (datetime.now(UTC) - timedelta(**time)).isoformat(timespec="seconds")


def receipt(**differing: Any) -> dict[str, Any]:
    """Of a swap that went well, but for what differs."""
    return {
        "outcome": "promoted",
        "revision": LIVE,
        "subject": "Fix the footer",
        "previous": None,
        "reason": "",
        "output": [],
        "held": 3,
        "longest_hold": 0.25,
        "retried": 0,
        "cut": 0,
        "drained": 0,
        "failed": 0,
        "seconds": {"start": 0.5, "probe": 1.0},
        "asked_by": "watch",
        "at": ago(minutes=3),
        **differing,
    }


def certificate(host: str, **differing: Any) -> dict[str, Any]:
    """Of a host with which all is well, but for what differs."""
    return {
        "host": host,
        "source": "acme",
        "state": "valid",
        "valid_until": ago(days=-89, hours=-1),
        "renews_at": ago(days=-59),
        "failures": 0,
        "problem": "",
        **differing,
    }


def status(**differing: Any) -> dict[str, Any]:
    """Of a site with which all is well, but for what differs."""
    live = {"slot": "blue", "revision": LIVE, "ports": [3000], "pids": [7], "since": ago(hours=2)}
    return {
        "name": "blog",
        "phase": "serving",
        "down": "",
        "live": live,
        "candidate": None,
        "wanted": LIVE,
        "head": LIVE,
        "why": "",
        "subjects": {LIVE: "Fix the footer", BAD: "Break it"},
        "step": None,
        "swap": None,
        "requests_per_second": 12.3,
        "held": 0,
        "in_flight": 4,
        "tunnels": 0,
        "retiring": None,
        "paused_for": None,
        "maintenance": None,
        "quarantined": {},
        "output": {},
        "previous": None,
        "problem": "",
        "certificates": [],
        "unremovable": [],
        "last_swap": receipt(),
        "last_swaps": [receipt()],
        "supervisor": {"pid": 5, "version": "0.1.0", "since": ago(days=2)},
        **differing,
    }
