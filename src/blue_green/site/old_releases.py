"""Delete the releases of a site that nothing needs any more."""

import logging
from typing import TYPE_CHECKING

from blue_green.source.git_errors import GitError

if TYPE_CHECKING:
    from blue_green.site.site import Site

logger = logging.getLogger(__name__)


async def prune(site: "Site", wanted: str | None) -> None:
    """Delete all but the newest releases, and those that are in use; `wanted` is a revision."""
    state, slots = site.state, site.slots
    in_use = {wanted, state.previous, state.live.revision if state.live else None}
    in_use |= {slot.release.revision for slot in slots.both if slot.release}
    revisions = {revision for revision in in_use if revision}
    try:
        await site.releases.pruning.prune(revisions, slots.release_paths)
    except (GitError, OSError) as error:
        logger.warning("cannot remove old releases: %s", error)
