"""Reports of a swap to the log, to systemd and in error pages."""

import logging

from blue_green.routing.gate import Gate
from blue_green.site.receipt import Receipt
from blue_green.site.slot import Slot
from blue_green.system import systemd

logger = logging.getLogger(__name__)

MAX_LINES = 10
"""Lines of a candidate's output that the log repeats at the end of its swap."""
DOWN = "The site is down: no release could be started."


def log_receipt(receipt: Receipt) -> None:
    """Log how a swap ended."""
    short = receipt.revision[:7]
    if receipt.outcome in ("failed", "reverted"):
        logger.error("swap %s: %s: %s", short, receipt.outcome, receipt.reason)
        if receipt.retry_in:
            logger.info("swap %s: retrying in %g s", short, receipt.retry_in)
        for line in receipt.output[-MAX_LINES:]:  # The log has all of them above.
            logger.info("    %s", line)
    else:
        reason = f" ({receipt.reason})" if receipt.reason else ""
        logger.info("swap %s: %s%s: %s", short, receipt.outcome, reason, receipt)
    if receipt.warning:
        logger.warning("swap %s: %s", short, receipt.warning)


def publish_live(live: Slot | None, gate: Gate) -> None:
    """Tell systemd what is live after a swap; refuse requests if nothing is."""
    if live is None:
        gate.refuse(DOWN)
        systemd.notify("STATUS=Down: no release could be started")
    elif live.release is not None:
        systemd.notify(f"STATUS=Serving {live.release.revision[:7]} in {live.name}")
