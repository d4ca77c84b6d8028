"""Swaps in words, for the log and for the commands, which import no more than this."""

from collections.abc import Mapping
from typing import Any

_TRIGGERS = {
    "watch": "a new commit",
    "health": "failing health probes",
    "swap": "blue-green swap",
    "push": "git push",
    "rollback": "blue-green rollback",
    "restart": "blue-green restart",
    "rebuild": "blue-green swap --rebuild",
}


def triggered_by(asked_by: str) -> str:
    """The trigger of a swap; one of a newer version as it is."""
    return f"triggered by {_TRIGGERS.get(asked_by, asked_by)}"


def numbers(receipt: Mapping[str, Any]) -> str:
    """The numbers of a receipt, which is an object of the control protocol."""
    total = sum(receipt["seconds"].values())
    return (
        f"held {receipt['held']}, longest {receipt['longest_hold']:.1f} s, "
        f"retried {receipt['retried']}, cut {receipt['cut']}, lost {receipt['failed']}, "
        f"drained {receipt['drained']}, took {total:.2f} s"
    )
