"""Which new HEADs of the checkout are deployed: those that change something in `[git] paths`.

A HEAD that does not is passed over. It neither cancels a swap nor a retry, and it is compared again
when `paths` changes or the supervisor starts.
"""

import logging
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from blue_green.site.trigger import Trigger
from blue_green.source import changed_paths
from blue_green.source.git_errors import GitError

if TYPE_CHECKING:
    from blue_green.site.site import Site

logger = logging.getLogger(__name__)


@frozen
class PassedOver:
    """A HEAD that is not deployed."""

    revision: str
    since: str
    """The revision with the same content at and below `paths`."""
    reason: str
    subject: str = ""


class NewCommits:
    """Requests swaps to new HEADs."""

    def __init__(self, site: "Site") -> None:
        self._site = site
        self.passed_over: PassedOver | None = None
        """The current HEAD, if it is not deployed."""

    @property
    def head(self) -> str | None:
        """The newest known HEAD of the checkout."""
        return self.passed_over.revision if self.passed_over else self._site.queue.head

    async def deploy(self, head: str) -> None:
        """Deploy a new HEAD, or pass it over."""
        if self._site.pushes.take(head):
            self.passed_over = None
            self._site.queue.note_head(head)
            return
        found = await self.without_changes(head)
        self.passed_over = None
        if found is None:
            self._site.queue.request(head, Trigger.WATCH)
        elif head != found.since:
            self.passed_over = evolve(found, subject=await self._subject(head))
            logger.info("HEAD is %s now, which is not deployed: %s", head[:7], found.reason)

    async def without_changes(self, revision: str) -> PassedOver | None:
        """Why this revision changes nothing in `paths`; None if it does, or might.

        It is compared with the live release, unless that is about to be replaced, and with the last
        HEAD that was to be deployed, whatever became of that: a commit that changes only the
        documentation does not deploy code again that has failed or was rolled back.
        """
        paths, queue = self._site.settings.git.paths, self._site.queue
        live = self._site.slots.live_revision
        if not paths or live is None:
            return None
        for before in (live if queue.desired == live else None, queue.head):
            if before is not None and not await self._differ(before, revision):
                reason = f"it changes nothing in {', '.join(paths)} since {before[:7]}"
                return PassedOver(revision, before, reason)
        return None

    async def _subject(self, revision: str) -> str:
        try:
            return await self._site.git.subject(revision)
        except (GitError, OSError):
            return ""

    async def _differ(self, before: str, after: str) -> bool:
        """Whether they differ in `paths`; true if that cannot be found out."""
        paths = self._site.settings.git.paths
        try:
            return await changed_paths.differ(self._site.git, before, after, paths)
        except (GitError, OSError) as error:
            logger.warning("cannot compare %s with %s: %s", after[:7], before[:7], error)
            return True
