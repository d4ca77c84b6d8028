"""What asked for a swap."""

from enum import StrEnum


class Trigger(StrEnum):
    """The values are those of `asked_by` in receipts, and are kept."""

    WATCH = "watch"
    """HEAD of the checkout moved."""
    SWAP = "swap"
    """Somebody typed `blue-green swap`."""
    ROLLBACK = "rollback"
    RESTART = "restart"
    """Somebody wants fresh processes of the live release."""
    REBUILD = "rebuild"
    """Somebody wants the live release to be built again."""
    HEALTH = "health"
    """The live release is unhealthy."""
