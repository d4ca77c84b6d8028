"""What is wanted next, and one swap at a time towards it.

There is room for one wanted revision, not for a queue: a newer one takes its place, and calls off
the swap in hand if that has not switched yet. Whoever asked learns what became of it.

A team that commits faster than a build takes would so never see anything go live. Therefore, after
a swap that was superseded, new commits do not call off the next one. Whoever asks by hand does.
"""

import logging
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import trio
from attrs import define, field

from blue_green.routing.metrics import SwapCounts
from blue_green.site import swap_runner
from blue_green.site.receipt import Receipt
from blue_green.site.retry import Retry, delay_after
from blue_green.site.slots import Slot
from blue_green.site.swap import Swap
from blue_green.site.trigger import Trigger
from blue_green.source.git import GitError
from blue_green.system import systemd

if TYPE_CHECKING:
    from blue_green.site.site import Site

logger = logging.getLogger(__name__)

TAKING_NOTHING_BACK = (Trigger.HEALTH, Trigger.RESTART, Trigger.REBUILD)
"""What triggers a swap without replacing what was wanted."""
MOST_LINES = 10
"""Of a candidate's output, in the log at the end of its swap."""
DOWN = "The site is down: no release of it could be started."


@define(eq=False)
class DeployRequest:
    """A revision that somebody wants to be live, and those who wait to hear of it."""

    revision: str
    trigger: Trigger
    retry: bool = False
    rebuild: bool = False
    is_head: bool = False
    """HEAD of the checkout moved to it: with its end, that HEAD has been dealt with."""
    receipt: Receipt | None = None
    _listeners: list["trio.MemorySendChannel[dict[str, Any]]"] = field(factory=list)

    def listen(self) -> "trio.MemoryReceiveChannel[dict[str, Any]]":
        """What happens from now on, as objects of the control protocol; ends with the receipt."""
        send, receive = trio.open_memory_channel[dict[str, Any]](math.inf)
        self._listeners.append(send)
        return receive

    def tell(self, event: dict[str, Any]) -> None:
        for listener in list(self._listeners):
            try:
                listener.send_nowait(event)
            except trio.BrokenResourceError:
                self._listeners.remove(listener)  # It went away; the swap goes on.

    def end(self, receipt: Receipt) -> None:
        self.receipt = receipt
        for listener in self._listeners:
            listener.close()


class DeployQueue:
    """One swap after the other, towards what was wanted last."""

    def __init__(self, site: "Site") -> None:
        self.current: Swap | None = None
        self.last: Receipt | None = site.state.history[-1] if site.state.history else None
        self.counts = SwapCounts()
        self._site = site
        self.again: Retry | None = None
        """What failed through no fault of its revision."""
        self._current_request: DeployRequest | None = None
        self._next_request: DeployRequest | None = None
        self._wake = trio.Event()
        self.lock = trio.Lock()
        """Who has it swaps. Others take it to have no swap begin."""
        self._version = 0
        self._changed = trio.Event()
        self._head: str | None = None
        """The newest HEAD that was seen."""
        self._yields_to_commits = True
        """A new commit calls off the swap in hand: the one before it was not called off."""

    @property
    def wanted(self) -> str | None:
        """The revision that is to be live when all that was asked for is done."""
        wanted = self._next_request or self._current_request
        if wanted is not None:
            return wanted.revision
        if self.again is not None:
            return self.again.revision
        live = self._site.slots.live
        return live.release.revision if live and live.release else None

    @property
    def head(self) -> str | None:
        """The newest HEAD of the checkout that we know of."""
        return self._head or self._site.state.head

    @property
    def receipts(self) -> Sequence[Receipt]:
        """Of the last swaps, the newest first; the swap in hand has none yet."""
        return self._site.state.history[::-1]

    def subject_of(self, revision: str) -> str:
        """The first line of this commit's message, if a swap to it is remembered."""
        in_hand = [self.current.receipt] if self.current else []
        receipts = [receipt for receipt in [*in_hand, *self.receipts] if receipt.subject]
        return next((r.subject for r in receipts if r.revision == revision), "")

    def want(
        self, revision: str, trigger: Trigger, *, retry: bool = False, rebuild: bool = False
    ) -> DeployRequest:
        """From now on this revision is wanted, and nothing that was wanted before."""
        if trigger not in TAKING_NOTHING_BACK:
            self.again = None
        is_head = trigger is Trigger.WATCH
        if is_head:
            self._head = revision
        unwinding = self.current is not None and self.current.is_superseded
        for wanted in (self._next_request, None if unwinding else self._current_request):
            if wanted is not None and wanted.revision == revision and not (retry or rebuild):
                if wanted is self._current_request:
                    self._drop_next()
                wanted.is_head |= is_head
                return wanted
        self._drop_next()
        self._next_request = DeployRequest(revision, trigger, retry or rebuild, rebuild, is_head)
        if self.current is not None and (self._yields_to_commits or not is_head):
            self.current.supersede()
        self._wake.set()
        return self._next_request

    def roll_back(self) -> DeployRequest | None:
        """Go back to the previous release; None if there is none."""
        if self.current is not None and self.current.roll_back():
            self._drop_next()
            return self._current_request
        previous = self._site.state.previous
        return self.want(previous, Trigger.ROLLBACK, retry=True) if previous else None

    def restart(self) -> DeployRequest | None:
        """Replace the processes of the live release by fresh ones; None if nothing is live."""
        live = self._site.slots.live
        if live is None or live.release is None:
            return None
        return self.want(live.release.revision, Trigger.RESTART, retry=True)

    def rebuild(self) -> DeployRequest | None:
        """Build the live release again, and swap to that; None if nothing is live."""
        live = self._site.slots.live
        if live is None or live.release is None:
            return None
        return self.want(live.release.revision, Trigger.REBUILD, rebuild=True)

    def state_of(self, slot: Slot) -> str:
        """`live`, `candidate`, `draining` or `retiring`; nothing if nothing runs there."""
        if slot is self._site.slots.live:
            return "live"
        if self.current is not None and slot is self.current.candidate:
            return "candidate"
        if slot is self._site.retirement.slot:
            return "retiring"
        return "draining" if slot.backends else ""

    @property
    def version(self) -> int:
        """How often a swap came to a phase, to the end of one, or to its own end."""
        return self._version

    async def until_changed(self, since: int) -> None:
        """Wait until that has happened more often than this."""
        while self._version <= since:
            await self._changed.wait()

    @property
    def is_idle(self) -> bool:
        """Nothing is wanted that is not live."""
        return self._current_request is None and self._next_request is None

    async def run(self) -> None:
        """Swap towards what is wanted, until cancelled."""
        while True:
            while self._next_request is None:
                self._wake = trio.Event()
                with trio.move_on_at(self.again.due if self.again else math.inf):
                    await self._wake.wait()
                if self._next_request is None and self.again and not self.again.seconds_left:
                    self._next_request = _wanted_again(self.again)
            async with self.lock:
                if self._next_request is not None:
                    self._current_request, self._next_request = self._next_request, None
                    await self._swap(self._current_request)
                    await self._prune()

    async def _swap(self, wanted: DeployRequest) -> None:
        site, revision = self._site, wanted.revision

        def tell(event: dict[str, Any]) -> None:
            wanted.tell(event)
            self._change()
            if event["event"] == "phase":
                systemd.notify(f"STATUS=Swapping to {revision[:7]}: {event['phase']}")
            else:
                logger.info("swap %s: %s %.2f s", revision[:7], event["phase"], event["seconds"])

        site.gate.stop_refusing()
        self.current = Swap(
            site,
            revision,
            retry=wanted.retry,
            rebuild=wanted.rebuild,
            trigger=wanted.trigger,
            report=tell,
        )
        logger.info("swap %s: wanted by %s", revision[:7], wanted.trigger)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._note_subject, self.current.receipt)
                receipt = await swap_runner.run(self.current)
            is_refused = self.current.is_refused
            self._note_retry(wanted, receipt, may_be_retried=self.current.may_be_retried)
        finally:
            self.current = None
        self.counts.add(receipt.outcome, receipt.seconds)
        self._report(receipt)
        self._current_request = None
        self._yields_to_commits = receipt.outcome != "superseded"
        self._note_head()
        if receipt.outcome != "unchanged" and not is_refused:
            self.last = receipt
            if not site.state.is_repeated(receipt):
                site.notify.swapped(receipt)  # Before we wait: a stop would keep it from that.
            site.state.remember(receipt)
        self._change()
        await site.save()  # What is reported is remembered.
        wanted.end(receipt)

    def _change(self) -> None:
        self._version += 1
        self._changed.set()
        self._changed = trio.Event()

    async def _note_subject(self, receipt: Receipt) -> None:
        """Beside the swap, which does not wait for it before it switches."""
        try:
            receipt.subject = await self._site.git.subject(receipt.revision)
        except (GitError, OSError) as error:
            logger.info("the subject of %s is not known: %s", receipt.revision[:7], error)

    def _report(self, receipt: Receipt) -> None:
        short = receipt.revision[:7]
        if receipt.outcome in ("failed", "reverted"):
            logger.error("swap %s: %s: %s", short, receipt.outcome, receipt.reason)
            if receipt.retry_in:
                logger.info("swap %s: it is tried again in %g s", short, receipt.retry_in)
            for line in receipt.output[-MOST_LINES:]:  # They are all above, as they came.
                logger.info("    %s", line)
        else:
            reason = f" ({receipt.reason})" if receipt.reason else ""
            logger.info("swap %s: %s%s: %s", short, receipt.outcome, reason, receipt)
        if receipt.warning:
            logger.warning("swap %s: %s", short, receipt.warning)
        live = self._site.slots.live
        if live is None:
            self._site.gate.refuse(DOWN)
            systemd.notify("STATUS=Down: no release could be started")
        elif live.release is not None:
            systemd.notify(f"STATUS=Serving {live.release.revision[:7]} in {live.name}")

    def _note_head(self) -> None:
        """Remember the newest HEAD, unless something that it asked for is still to be done."""
        unfinished = self._next_request or self.again
        if self._head is not None and not (unfinished is not None and unfinished.is_head):
            self._site.state.head = self._head

    def _note_retry(self, wanted: DeployRequest, receipt: Receipt, *, may_be_retried: bool) -> None:
        """Something newer, or somebody who called it off, takes precedence over a retry."""
        if self._next_request is not None or (
            self.again and self.again.revision != wanted.revision
        ):
            return
        failures = self.again.failures + 1 if self.again else 1
        self.again = None
        if may_be_retried:
            receipt.retry_in = delay_after(failures)
            self.again = Retry(
                revision=wanted.revision,
                reason=receipt.reason,
                trigger=wanted.trigger,
                is_head=wanted.is_head,
                is_forced=wanted.retry,
                is_rebuild=wanted.rebuild,
                failures=failures,
                due=trio.current_time() + receipt.retry_in,
            )

    def _drop_next(self) -> None:
        if self._next_request is not None:
            dropped, self._next_request = self._next_request, None
            dropped.end(
                Receipt(
                    "superseded",
                    dropped.revision,
                    reason="something else was wanted",
                    asked_by=dropped.trigger,
                )
            )

    async def _prune(self) -> None:
        state, slots = self._site.state, self._site.slots
        in_use = {state.previous, state.live.revision if state.live else None}
        in_use |= {self._next_request.revision if self._next_request else None}
        in_use |= {slot.release.revision for slot in slots.both if slot.release}
        running = slots.places
        try:
            await self._site.releases.prune({revision for revision in in_use if revision}, running)
        except (GitError, OSError) as error:
            logger.warning("old releases cannot be removed: %s", error)


def _wanted_again(retry: Retry) -> DeployRequest:
    return DeployRequest(
        retry.revision, retry.trigger, retry.is_forced, retry.is_rebuild, retry.is_head
    )
