"""Reports of a swap to the log, to systemd and in error pages."""

import logging
from typing import TYPE_CHECKING

from blue_green.site.receipt import Receipt

if TYPE_CHECKING:
    from blue_green.site.site import Site

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


def publish_live(site: "Site") -> None:
    """Tell systemd what is live after a swap; refuse requests if nothing is."""
    live = site.slots.live
    if live is None:
        site.gate.refuse(DOWN)
        site.show("Down: no release could be started")
    elif live.release is not None:
        site.show(f"Serving {live.release.revision[:7]} in {live.name}")
