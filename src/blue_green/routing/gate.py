"""The gate, which every request passes: it goes to a live target, waits, or is refused.

The rules:

- A request waits when no target is live, or while the gate is held (by a pause, or an exclusive
  swap). It has no target while it waits, and gets one that is live when it goes.
- First in, first out, at the pace of the ramp (`wait_queue.py`).
- There is no checkpoint between the decision and the lease: a target is live when its lease is
  given, and a target that is not live gets no more leases.
- A request that is assigned to a trial gets one of the trial's targets instead. It waits while the
  gate is held, but not for a live target.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import trio
from attrs import evolve

from blue_green.config.site_settings import HoldSettings
from blue_green.routing.lease import Lease, Outcome, Target
from blue_green.routing.tally import Tally
from blue_green.routing.trial import Trial
from blue_green.routing.wait_queue import WaitQueue


class Gate:
    """Gives leases on live targets, and holds or refuses requests when it cannot."""

    def __init__(self, settings: HoldSettings) -> None:
        self.tally = Tally()
        self.queue = WaitQueue(settings, self.tally, lambda: self.is_open)
        self._waiting = self.queue.waiting  # Each request looks at it twice.
        self.by_status: Counter[int] = Counter()
        """How many requests have ended with each status, including errors of our own."""
        self.leases_given = 0
        self._targets: list[Target] = []
        self._withdrawn: list[Target] = []
        """They get no more leases, but may have some."""
        self._trial: Trial | None = None
        self._holders: set[str] = set()
        self._stopping_timeouts: set[str] = set()
        self._refusal = ""
        """Why requests are refused while no target is live; empty: they are held."""
        self._closed = False

    # --- for the proxy ---

    async def acquire(
        self,
        avoid: Target | None = None,
        owner: str = "",
        trial: Trial | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> Lease:
        """A lease on a live target, at once if there is one; raise `Refused` if there will be none.

        `avoid` is a target that has just failed this request: any other one is preferred.
        `owner` is the client that the request counts for, whose share of the queue is limited; if
        it is empty, none is.
        `trial` is the one that the request is assigned to.
        `check` may raise an exception to end the wait; see `WaitQueue.check_held`.
        Unlike most of trio, this is a checkpoint only when it waits.
        """
        if lease := self.acquire_now(avoid, trial):
            return lease
        if self.is_refusing:
            raise self.queue.refusal(self._refusal)
        waited = await self.queue.wait(owner, check)
        return self._lease(waited, avoid, trial)

    def acquire_now(self, avoid: Target | None = None, trial: Trial | None = None) -> Lease | None:
        """A lease on a live target, if there is one without waiting."""
        if self._targets and not self._holders and not self._waiting:
            return self._lease(0.0, avoid, trial)
        if trial is not None and trial.targets and not self._holders:
            return self._lease(0.0, avoid, trial)
        return None

    # --- for the site, which decides what is live ---

    def switch(self, targets: Iterable[Target]) -> None:
        """From now on these, and only these, get leases."""
        targets = list(targets)
        for target in self._targets:
            if target not in targets:
                target.lost.set()
        for target in targets:
            if target.lost.is_set():
                target.lost = trio.Event()
        self._withdrawn += self._targets
        self._withdrawn = [old for old in self._withdrawn if old.leases and old not in targets]
        self._targets = targets
        self._opened()

    def admit(self, target: Target) -> None:
        """From now on this one gets leases, too."""
        self.switch([*self._targets, target])

    def withdraw(self, target: Target) -> None:
        """From now on this one gets no leases; without another one, requests wait."""
        self.switch(other for other in self._targets if other is not target)

    def begin_trial(self, targets: Iterable[Target]) -> Trial:
        """From now on, requests that are assigned to this trial get leases on these targets."""
        assert self._trial is None
        self._trial = Trial(list(targets))
        return self._trial

    def end_trial(self) -> None:
        """From now on, the targets of the trial get leases only if they are live."""
        trial, self._trial = self._trial, None
        if trial is not None:
            others = [target for target in trial.targets if target not in self._targets]
            self._withdrawn += [target for target in others if target.leases]
            trial.end(is_live=not others)

    def hold(self, holder: str, *, stops_timeouts: bool = False) -> None:
        """Requests wait until each holder has called `resume`.

        With `stops_timeouts`, the timeout of waiting requests begins only then: for a holder that
        always calls `resume`, after which a target will soon be live.
        """
        if self._closed:
            return
        self._holders.add(holder)
        if stops_timeouts:
            self._stopping_timeouts.add(holder)
            self.queue.set_timeouts(stopped=True)

    def resume(self, holder: str) -> None:
        self._holders.discard(holder)
        if holder in self._stopping_timeouts:
            self._stopping_timeouts.discard(holder)
            self.queue.set_timeouts(stopped=bool(self._stopping_timeouts))
        self._opened()

    def refuse(self, why: str) -> None:
        """While no target is live, refuse requests at once instead of holding them."""
        self._refusal = why
        if self.is_refusing:
            self.queue.refuse_held(why)

    def explain(self, why: str) -> None:
        """The reason for requests that time out from now on."""
        self.queue.timeout_reason = why

    def stop_refusing(self) -> None:
        self.queue.timeout_reason = ""
        if not self._closed:
            self._refusal = ""

    def close(self, why: str) -> None:
        """Refuse, permanently, requests that wait and those that would have to."""
        self._holders.clear()
        self._closed = True
        self.refuse(why)
        self._opened()

    # --- what can be seen ---

    @property
    def is_open(self) -> bool:
        return bool(self._targets) and not self._holders

    @property
    def is_refusing(self) -> bool:
        return bool(self._refusal) and not self._targets and not self._holders

    @property
    def why_down(self) -> str:
        """Why no target will be live soon, also behind a hold; empty if one may be."""
        return "" if self._targets else self._refusal

    @property
    def targets(self) -> Sequence[Target]:
        return self._targets

    @property
    def held(self) -> int:
        """How many requests wait."""
        return len(self._waiting)

    @property
    def requests(self) -> int:
        """How many requests wait or have a lease, including streams."""
        on_trial = self._trial.targets if self._trial else ()
        return self.held + sum(
            [len(target.leases) for target in (*self._targets, *on_trial, *self._withdrawn)]
        )

    def start_tally(self) -> Tally:
        """The counters now, for a later call of `tally_since`."""
        self.tally.longest_hold = 0.0
        return evolve(self.tally, held=self.tally.held - self.held)

    def tally_since(self, start: Tally) -> Tally:
        """What has happened since, including the requests that waited then or wait now."""
        now = self.tally
        still = [waiter.waited for waiter in self._waiting]
        return Tally(
            held=now.held - start.held,
            longest_hold=max(now.longest_hold, *still, 0.0),
            retried=now.retried - start.retried,
            cut=now.cut - start.cut,
            failed=now.failed - start.failed,
        )

    # --- for leases, as their listener ---

    def let_one_more(self) -> None:
        if self._waiting:
            self.queue.let_one_more()

    def count(self, outcome: Outcome) -> None:
        self.tally.retried += outcome is Outcome.RETRIED
        self.tally.failed += outcome in (Outcome.FAILED, Outcome.OVERDUE)
        self.tally.cut += outcome is Outcome.CUT

    # --- inside ---

    def _lease(self, held: float, avoid: Target | None, trial: Trial | None) -> Lease:
        targets = self._targets if trial is None else trial.choice(self._targets, avoid)
        if len(targets) == 1:
            target = targets[0]
        else:
            target = min(targets, key=lambda target: (target is avoid, len(target.leases)))
        lease = Lease(self, target, held)
        self.leases_given += 1
        target.leases.add(lease)
        return lease

    def _opened(self) -> None:
        if self.is_open:
            self.queue.gate_opened()
