"""What triggers a swap."""

from enum import StrEnum


class Trigger(StrEnum):
    """What triggered a swap. The values appear as `asked_by` in receipts, and must not change."""

    WATCH = "watch"
    """HEAD of the checkout moved."""
    SWAP = "swap"
    """Somebody ran `blue-green swap`."""
    ROLLBACK = "rollback"
    RESTART = "restart"
    """Fresh processes of the live release."""
    REBUILD = "rebuild"
    """A new build of the live release."""
    HEALTH = "health"
    """The live release is unhealthy."""

    @property
    def description(self) -> str:
        """For "triggered by ..."."""
        return _DESCRIPTIONS[self]


_DESCRIPTIONS = {
    Trigger.WATCH: "a new commit",
    Trigger.SWAP: "blue-green swap",
    Trigger.ROLLBACK: "blue-green rollback",
    Trigger.RESTART: "blue-green restart",
    Trigger.REBUILD: "blue-green swap --rebuild",
    Trigger.HEALTH: "failed health checks",
}
