"""A trial that the end of the supervisor, or of its site, has ended: reported at the next start.

The live release then goes on alone. HEAD is deployed again, as after any swap that was interrupted,
if its canary was one of the settings: there will be another one. A canary or a preview that
somebody asked for is not repeated, and HEAD must not go live without it.
"""

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from blue_green.site.receipt import Receipt

if TYPE_CHECKING:
    from blue_green.site.site import Site

logger = logging.getLogger(__name__)


def report(site: "Site") -> None:
    """Report the trial that had not ended when the site last did, if there was one."""
    state = site.state
    ended, state.trial = state.trial, None
    if ended is None:
        return
    receipt = Receipt(
        "aborted",
        ended.revision,
        ended.subject,
        previous=state.live.revision if state.live else None,
        reason=f"the site was stopped during its {ended.kind}",
        asked_by=ended.asked_by,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    if ended.is_head and not (site.settings.swap.canary and ended.is_by_settings):
        state.head = ended.revision
    logger.error("swap %s: aborted: %s", ended.revision[:7], receipt.reason)
    site.history.remember(receipt)
    site.state_file.change()
