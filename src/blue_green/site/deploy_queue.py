"""The deploy queue of a site: one swap at a time, and at most one request behind it.

A newer request replaces the one that waits, and supersedes the current swap if that has not
switched yet. Clients that wait for a request learn how it ended.

If a team commits faster than a build takes, nothing would ever go live that way. So after a swap
that was superseded, new commits do not supersede the next one. Requests made by hand still do.
"""

import logging
import math
from typing import TYPE_CHECKING, Any

import trio

from blue_green.site import old_releases, swap_report, swap_runner
from blue_green.site.deploy_request import DeployRequest
from blue_green.site.receipt import Receipt
from blue_green.site.retry import Retry, delay_after
from blue_green.site.slot import Slot
from blue_green.site.swap import SUPERSEDED, Report, Swap
from blue_green.site.swap_text import triggered_by
from blue_green.site.trial_plan import TrialPlan
from blue_green.site.trigger import Trigger
from blue_green.source.git_errors import GitError

if TYPE_CHECKING:
    from blue_green.site.candidate_trial import CandidateTrial
    from blue_green.site.site import Site

logger = logging.getLogger(__name__)

UNHEALTHY = "the live release is unhealthy and has to be replaced"
KEEPS_RETRY = (Trigger.HEALTH, Trigger.RESTART, Trigger.REBUILD)
"""Triggers that do not cancel the retry of another revision."""


class DeployQueue:
    """Carries out deploy requests one after the other, the newest first."""

    def __init__(self, site: "Site") -> None:
        self.current: Swap | None = None
        self._site = site
        self.pending_retry: Retry | None = None
        """A swap that failed through no fault of its revision."""
        self._current_request: DeployRequest | None = None
        self._next_request: DeployRequest | None = None
        self._wake = trio.Event()
        self.lock = trio.Lock()
        """Held during a swap. Hold it to keep any swap from beginning."""
        self._version = 0
        self._changed = trio.Event()
        self._head: str | None = None
        """The newest HEAD that the watch has reported."""
        self._yields_to_commits = True
        """A new commit supersedes the current swap: the swap before was not superseded."""

    @property
    def desired(self) -> str | None:
        """The revision that will be live when all requests are done."""
        request = self._next_request or self._current_request
        if request is not None:
            return request.revision
        if self.pending_retry is not None:
            return self.pending_retry.revision
        return self._site.slots.live_revision

    @property
    def head(self) -> str | None:
        """The newest known HEAD of the checkout."""
        return self._head or self._site.state.head

    def subject_of(self, revision: str) -> str:
        """The subject line of a commit, if there is a receipt of a swap to it."""
        current = [self.current.receipt] if self.current else []
        receipts = [*current, *self._site.history.receipts]
        return next((r.subject for r in receipts if r.subject and r.revision == revision), "")

    def request(
        self,
        revision: str,
        trigger: Trigger,
        *,
        retry: bool = False,
        rebuild: bool = False,
        plan: TrialPlan | None = None,
    ) -> DeployRequest:
        """Request that this revision goes live, in place of all earlier requests.

        `plan` is the trial before the switch; None: by the settings.
        """
        if trigger not in KEEPS_RETRY:
            self.pending_retry = None
        is_head = trigger is Trigger.WATCH
        if is_head:
            self._head = revision
        if not (retry or rebuild) and (request := self._join(revision, plan)) is not None:
            request.is_head |= is_head
            return request
        self._drop_next()
        self._next_request = DeployRequest(
            revision, trigger, retry or rebuild, rebuild, is_head, plan
        )
        if self.current is not None:
            self.current.newer_requested.set()
            if self._yields_to_commits or not is_head or self.current.is_for_preview:
                is_unhealthy = trigger is Trigger.HEALTH
                self.current.supersede(UNHEALTHY if is_unhealthy else SUPERSEDED)
        self._wake.set()
        return self._next_request

    def _join(self, revision: str, plan: TrialPlan | None) -> DeployRequest | None:
        """The request for this revision that has not ended, which follows this plan from now on."""
        request = self._next_request
        if request is None or request.revision != revision:
            request, swap = self._current_request, self.current
            if request is None or request.revision != revision:
                return None
            if swap is not None and (swap.is_superseded or not swap.follow(plan)):
                return None
            self._drop_next()
        request.plan = plan or request.plan
        return request

    def withdraw(self, request: DeployRequest, why: str) -> None:
        """Cancel a request, unless its swap has switched already."""
        if request is self._next_request:
            self._drop_next(why)
        elif request is self._current_request and self.current is not None:
            self.current.supersede(why)

    def note_head(self, head: str) -> None:
        """HEAD moved to a revision that needs no further swap."""
        self._head = self._site.state.head = head
        self._site.state_file.change()

    @property
    def trial(self) -> "CandidateTrial | None":
        """The trial of the current swap, while it goes on."""
        return self.current.trial if self.current is not None else None

    def promote(self) -> DeployRequest | None:
        """End the trial of the current swap with the switch; None if there is no trial."""
        if self.trial is None:
            return None
        self.trial.promote()
        return self._current_request

    def abort(self, why: str) -> DeployRequest | None:
        """End the current swap before its switch; None if there is no swap, or it has switched."""
        if self.current is None or not self.current.abort(why):
            return None
        return self._current_request

    def roll_back(self) -> DeployRequest | None:
        """Go back to the previous release; None if there is none."""
        if self.current is not None and self.current.roll_back():
            self._drop_next()
            return self._current_request
        previous = self._site.state.previous
        return self.request(previous, Trigger.ROLLBACK, retry=True) if previous else None

    def restart(self) -> DeployRequest | None:
        """Replace the processes of the live release; None if nothing is live."""
        live = self._site.slots.live_revision
        return self.request(live, Trigger.RESTART, retry=True) if live else None

    def rebuild(self, plan: TrialPlan | None = None) -> DeployRequest | None:
        """Build the live release again and swap to the new build; None if nothing is live."""
        live = self._site.slots.live_revision
        return self.request(live, Trigger.REBUILD, rebuild=True, plan=plan) if live else None

    def state_of(self, slot: Slot) -> str:
        """`live`, `candidate`, `draining` or `retiring`; "" if nothing runs there."""
        if slot is self._site.slots.live:
            return "live"
        if self.current is not None and slot is self.current.candidate:
            return "candidate"
        if slot is self._site.retirement.slot:
            return "retiring"
        return "draining" if slot.backends else ""

    @property
    def version(self) -> int:
        """A number that grows with each phase that begins or ends, and with each swap that ends."""
        return self._version

    async def until_changed(self, since: int) -> None:
        """Wait until `version` is greater than `since`."""
        while self._version <= since:
            await self._changed.wait()

    @property
    def is_idle(self) -> bool:
        """Whether there is neither a current swap nor a request."""
        return self._current_request is None and self._next_request is None

    async def run(self) -> None:
        """Carry out requests until cancelled."""
        while True:
            await self._until_request()
            async with self.lock:
                if self._next_request is not None:
                    self._current_request, self._next_request = self._next_request, None
                    await self._carry_out(self._current_request)
                    following = self._next_request
                    await old_releases.prune(self._site, following.revision if following else None)

    async def _until_request(self) -> None:
        """Wait until there is a request, or a retry is due."""
        while self._next_request is None:
            self._wake = trio.Event()
            retry = self.pending_retry
            with trio.move_on_at(retry.due if retry else math.inf):
                await self._wake.wait()
            retry = self.pending_retry
            if self._next_request is None and retry and not retry.seconds_left:
                self._next_request = retry.request.again()

    async def _carry_out(self, request: DeployRequest) -> None:
        self._site.gate.stop_refusing()
        self.current = swap = Swap(self._site, request, self._report_to(request))
        logger.info("swap %s: %s", swap.revision[:7], triggered_by(swap.trigger))
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._add_subject, swap.receipt)
                receipt = await swap_runner.run(swap)
            self._schedule_retry(request, receipt, may_be_retried=swap.may_be_retried)
        finally:
            self.current = None
        self._site.history.counts.add(receipt.outcome, receipt.seconds)
        swap_report.log_receipt(receipt)
        swap_report.publish_live(self._site)
        self._current_request = None
        self._yields_to_commits = receipt.outcome != "superseded"
        self._remember_head()
        self._site.state.trial = None  # If it was not reported, the next start does so.
        if receipt.outcome != "unchanged" and not swap.is_refused:
            self._site.history.remember(receipt)
        self._change()
        await self._site.save()  # A restart must not forget what we report now.
        request.finish(receipt)

    def _report_to(self, request: DeployRequest) -> Report:
        short = request.revision[:7]

        def report(event: dict[str, Any]) -> None:
            request.report(event)
            self._change()
            if event["event"] == "phase":
                self._site.show(f"Swapping to {short}: {event['phase']}")
            else:
                logger.info("swap %s: %s %.2f s", short, event["phase"], event["seconds"])

        return report

    def _change(self) -> None:
        self._version += 1
        self._changed.set()
        self._changed = trio.Event()

    async def _add_subject(self, receipt: Receipt) -> None:
        """Add the commit's subject line to the receipt while the swap runs."""
        try:
            receipt.subject = await self._site.git.subject(receipt.revision)
        except (GitError, OSError) as error:
            logger.info("cannot read the subject of commit %s: %s", receipt.revision[:7], error)

    def _remember_head(self) -> None:
        """Remember the newest HEAD, unless its request has not been carried out yet."""
        retry = self.pending_retry
        unfinished = self._next_request or (retry.request if retry else None)
        if self._head is not None and not (unfinished is not None and unfinished.is_head):
            self._site.state.head = self._head

    def _schedule_retry(
        self, request: DeployRequest, receipt: Receipt, *, may_be_retried: bool
    ) -> None:
        """Retry a failed swap later, unless a newer request takes precedence."""
        retry = self.pending_retry
        if self._next_request is not None or (retry and retry.revision != request.revision):
            return
        self.pending_retry = None
        # A push that failed is refused: only another push tries it again.
        if may_be_retried and request.trigger is not Trigger.PUSH:
            failures = retry.failures + 1 if retry else 1
            receipt.retry_in = delay_after(failures)
            due = trio.current_time() + receipt.retry_in
            self.pending_retry = Retry(request, receipt.reason, failures, due)

    def _drop_next(self, why: str = SUPERSEDED) -> None:
        if self._next_request is not None:
            dropped, self._next_request = self._next_request, None
            dropped.finish(
                Receipt("superseded", dropped.revision, reason=why, asked_by=dropped.trigger)
            )
