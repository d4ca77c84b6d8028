"""The trial of a candidate: before the switch, it serves some clients beside the live release.

It ends with the switch, if somebody promotes the candidate or its time is up; or without: if the
candidate fails, if somebody aborts it, or if a newer deploy supersedes the swap. Then the requests
of its clients go to the live release from that moment on, and those in flight may finish.
"""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import trio
from attrs import evolve

from blue_green.config.command_line import to_decide
from blue_green.config.kinds import Seconds
from blue_green.config.units import written
from blue_green.proxy.canary import Canary
from blue_green.proxy.secret_link import SecretLink, new_token
from blue_green.proxy.served_trial import ServedTrial
from blue_green.routing.client_limits import ClientLimits, limited
from blue_green.site import result_text, unanswered
from blue_green.site.retirement import HURRY_TIMEOUT
from blue_green.site.slot import Slot
from blue_green.site.state import RecordedTrial
from blue_green.site.swap import Swap, last_output_of
from blue_green.site.trial_plan import TrialKind, TrialPlan, plan_of
from blue_green.site.trial_results import TrialResults
from blue_green.site.trial_verdict import LOOK_INTERVAL, TrialVerdict
from blue_green.source.failure import StepFailed, SwapCancelled

logger = logging.getLogger(__name__)

NOT_PROMOTED = "nobody promoted the preview in time"


class TrialFailed(StepFailed):
    """The candidate failed while it served a share of the clients."""


class TrialAborted(SwapCancelled):
    """Somebody ended the trial, or nobody promoted a preview in time."""


class CandidateTrial:
    """One trial, until the switch or its end."""

    def __init__(
        self, swap: Swap, plan: TrialPlan, candidate: Slot, live: Slot, limits: ClientLimits
    ) -> None:
        self.plan = plan
        self._swap = swap
        self._site = swap.site
        self._candidate = candidate
        self._live = live
        self.results = TrialResults(candidate, live)
        self._verdict = TrialVerdict(swap, self.results, limits)
        self._began = trio.current_time()
        self._decided = trio.Event()
        self._why_aborted = ""
        self._audience: Canary | SecretLink = SecretLink("preview", new_token())
        if plan.kind is TrialKind.CANARY:
            site = swap.site.name
            self._audience = Canary(site, swap.revision, plan.percent, plan.seconds)
        self._changed = trio.Event()
        self._has_ended = False

    @property
    def revision(self) -> str:
        return self._swap.revision

    # --- by hand ---

    def promote(self) -> None:
        """Make the candidate live now."""
        self._decided.set()

    def abort(self, why: str) -> None:
        """Send all clients to the live release, and stop the candidate."""
        self._why_aborted = why
        self._decided.set()

    def change(self, plan: TrialPlan) -> None:
        """Change the share, and the time if one was named, which counts from the beginning.

        A canary for nobody is none: then the switch is next.
        """
        if plan.kind is TrialKind.CANARY and not plan.percent:
            self.promote()
        seconds = plan.seconds if plan.has_own_time else self.plan.seconds
        self.plan = evolve(plan, seconds=seconds)
        if isinstance(self._audience, Canary):
            self._audience.percent, self._audience.seconds = plan.percent, seconds
        self._changed.set()

    # --- its course ---

    def begin(self) -> None:
        """Send some clients to the candidate from now on."""
        site, swap = self._site, self._swap
        trial = site.gate.begin_trial(self._candidate.open_targets)
        is_secret = self.plan.kind is TrialKind.PREVIEW
        files = site.files.begin_trial(self._candidate, is_secret=is_secret)
        site.served.trial = ServedTrial(trial, self._audience, files)
        is_head = site.queue.head == swap.revision
        by_settings = plan_of(None, swap.trigger, swap.settings) == self.plan
        site.state.trial = RecordedTrial(
            swap.revision,
            self.plan.kind,
            swap.trigger,
            is_head,
            by_settings,
            swap.receipt.subject,
        )
        site.state_file.change()
        site.notify.report_trial(
            self.plan.kind, swap.revision, swap.receipt.subject, self._beginning()
        )

    def _beginning(self) -> str:
        """Whom it is for, how long it lasts, and what ends it."""
        is_canary = self.plan.kind is TrialKind.CANARY
        whom = f"{self.plan.percent:g}% of the clients" if is_canary else "those with the link"
        seconds = written(round(self.plan.seconds, 3), "s")
        return f"for {whom}, for {seconds}: {to_decide(self._site.label)}"

    def end(self) -> None:
        """Send no more clients there, unless it is live; its requests in flight may finish."""
        if self._has_ended:
            return
        self._has_ended = True
        self.results.note_in(self._swap.receipt)
        site = self._site
        site.served.trial = None
        site.gate.end_trial()
        is_live = site.slots.live is self._candidate
        if not is_live:
            settings = evolve(self._swap.settings.swap, stream_timeout=Seconds(HURRY_TIMEOUT))
            receipt, now = self._swap.receipt, trio.current_time()
            site.retirement.begin(self._candidate, settings, receipt, switched_at=now)
        if is_live:  # Otherwise it is remembered until the receipt is.
            site.state.trial = None
        site.state_file.change()

    async def until_promoted(self) -> None:
        """Wait until the candidate is to go live; raise `TrialFailed` or `TrialAborted`."""
        await self._site.save()  # The next start has to know of it, whenever that comes.
        with self._swap.timed(self.plan.kind):
            failure = await self._first_end()
        if failure:
            backends = self._candidate.backends
            self.end()
            failed = TrialFailed if self.plan.kind is TrialKind.CANARY else StepFailed
            raise failed(failure, await last_output_of(backends))
        if self.plan.kind is TrialKind.PREVIEW and not self._decided.is_set():
            self.abort(NOT_PROMOTED)
        if self._why_aborted:
            raise TrialAborted(self._why_aborted)

    async def _first_end(self) -> str:
        """Wait until the trial ends; how the candidate failed, if it did."""
        failure = ""
        is_canary = self.plan.kind is TrialKind.CANARY
        patience = unanswered.longest_silence(self._live.recent.recent()) if is_canary else math.inf
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                nonlocal failure
                failure = await self._candidate.first_failure(self._swap.settings, patience)
                nursery.cancel_scope.cancel()

            async def watch_traffic() -> None:
                nonlocal failure
                while not (failure := failure or self._verdict.failure()):
                    await trio.sleep(LOOK_INTERVAL)
                nursery.cancel_scope.cancel()

            nursery.start_soon(watch)
            if is_canary:
                nursery.start_soon(watch_traffic)
            await self._until_decided()
            if is_canary and not self._decided.is_set():
                await self._until_settled()
            nursery.cancel_scope.cancel()
        if failure or self._decided.is_set() or not is_canary:
            return failure
        self._swap.receipt.reason = self._verdict.missing()
        return self._verdict.failure(is_last=True)

    async def _until_settled(self) -> None:
        """When its time is over, wait for responses that are due, unless somebody decides."""
        response_timeout = self._swap.settings.serving.response_timeout
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_after, self._decided, nursery.cancel_scope)
            await self._verdict.until_settled()
            await unanswered.until_not_silent(self._candidate.targets, response_timeout)
            nursery.cancel_scope.cancel()

    async def _until_decided(self) -> None:
        while True:
            self._changed = trio.Event()
            with trio.move_on_after(self.seconds_left) as limit:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_cancel_after, self._decided, nursery.cancel_scope)
                    nursery.start_soon(_cancel_after, self._changed, nursery.cancel_scope)
            if limit.cancelled_caught or self._decided.is_set():
                return

    # --- what can be seen ---

    @property
    def link(self) -> str:
        """The path of the secret link, for a preview; empty for a canary."""
        return self._audience.path if isinstance(self._audience, SecretLink) else ""

    @property
    def is_decided(self) -> bool:
        """Somebody has promoted or aborted it."""
        return self._decided.is_set()

    @property
    def lasts(self) -> float:
        """Seconds since it began."""
        return trio.current_time() - self._began

    @property
    def seconds_left(self) -> float:
        return max(0.0, self.plan.seconds - self.lasts)

    @property
    def progress(self) -> str:
        """What the candidate has done so far, in words."""
        summary = result_text.summary(self.results.new().summary().as_dict())
        is_canary = self.plan.kind is TrialKind.CANARY
        return f"{self.plan.percent:g}%: {summary}" if is_canary else summary

    def as_dict(self) -> dict[str, Any]:
        """The trial as an object of the control protocol."""
        return {
            "kind": self.plan.kind.value,
            "revision": self.revision,
            "percent": self.plan.percent,
            "seconds_left": round(self.seconds_left, 1),
            "results": self.results.new().summary().as_dict(),
            "live_results": self.results.old().summary().as_dict(),
            "to_decide": to_decide(self._site.label),
        }


async def _cancel_after(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()


@contextmanager
def on_trial(swap: Swap, old: Slot | None, candidate: Slot) -> Iterator[CandidateTrial | None]:
    """The trial that the swap plans, if it does and there is a live release for all others."""
    if swap.plan is None or old is None:
        yield None
        return
    with limited(candidate.results) as limits:
        trial = swap.trial = CandidateTrial(swap, swap.plan, candidate, old, limits)
        trial.begin()
        try:
            yield trial
        finally:
            swap.trial = None
            trial.end()
