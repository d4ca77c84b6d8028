"""Triggers of swaps."""

from enum import StrEnum


class Trigger(StrEnum):
    """What triggered a swap. The values appear as `asked_by` in receipts, and must not change."""

    WATCH = "watch"
    """HEAD of the checkout moved."""
    SWAP = "swap"
    """Somebody ran `blue-green swap`."""
    PUSH = "push"
    """Somebody pushed to the checkout."""
    ROLLBACK = "rollback"
    RESTART = "restart"
    """Fresh processes of the live release."""
    REBUILD = "rebuild"
    """A new build of the live release."""
    HEALTH = "health"
    """The live release is unhealthy."""
