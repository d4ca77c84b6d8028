"""The requests that wait at the gate.

- First in, first out. Only the first request may go, and it wakes the next one. Nothing polls, and
  nothing overtakes.
- When the gate opens, at most `ramp` of the requests go at once; each response that begins, and
  each request that ends, releases one more. So that a few slow ones do not stop the others, another
  `ramp` go each second.
"""

import math
from collections import Counter, OrderedDict
from collections.abc import Callable

import trio

from blue_green.config.site_settings import HoldSettings
from blue_green.routing.metrics import HOLD_SECONDS, Histogram
from blue_green.routing.tally import Tally

RAMP_PATIENCE = 1.0


class Refused(Exception):
    """A request can neither pass nor wait any longer; str() says why."""

    def __init__(self, why: str, retry_after: int) -> None:
        super().__init__(why)
        self.retry_after = retry_after
        """Seconds after which a retry makes sense."""


class Waiter:
    """One request in the queue. It keeps its place until it goes or gives up."""

    __slots__ = ("_began", "must_check", "refused", "scope", "turn")

    def __init__(self, scope: trio.CancelScope) -> None:
        self.scope = scope
        """Cancelled when it has waited long enough."""
        self.turn = trio.Event()
        self.refused: Refused | None = None
        self.must_check = False
        """Whether it may still wait has to be checked."""
        self._began = trio.current_time()

    @property
    def waited(self) -> float:
        """Seconds."""
        return trio.current_time() - self._began


class WaitQueue:
    """Lets requests wait in order while the gate is closed, and go step by step once it opens."""

    def __init__(
        self, settings: HoldSettings, tally: Tally, gate_is_open: Callable[[], bool]
    ) -> None:
        self.settings = settings
        self.holds = Histogram(HOLD_SECONDS)
        """How long each request waited, however its wait ended."""
        self.on_wait: Callable[[], None] = _do_nothing
        """Called when a request begins to wait."""
        self.timeout_reason = ""
        """The reason for requests that time out from now on."""
        self.waiting: OrderedDict[Waiter, None] = OrderedDict()
        """The first one may go next."""
        self._tally = tally
        self._gate_is_open = gate_is_open
        self._waiting_of: Counter[str] = Counter()
        """How many requests count for each client."""
        self._has_timeouts = True
        self._ramp = 0
        """How many may go now."""
        self._ramping = trio.Event()

    async def wait(self, owner: str, check: Callable[[], None]) -> float:
        """Wait until the gate is open and it is this request's turn; return the seconds.

        The gate is still open when this returns. Raise `Refused`, also when the queue is full.
        """
        self._check_space(owner)
        waiter = Waiter(trio.CancelScope(deadline=self._deadline()))
        self.waiting[waiter] = None
        self._waiting_of[owner] += 1
        self._tally.held += 1
        self.on_wait()
        try:
            with waiter.scope:
                while not self._may_go(waiter):
                    await waiter.turn.wait()
                    waiter.turn = trio.Event()
                    if waiter.refused:
                        raise waiter.refused
                    if waiter.must_check:
                        waiter.must_check = False
                        check()
                self._ramp -= 1
                return waiter.waited
            raise self.refusal(self.timeout_reason or "Nothing could answer this request in time.")
        finally:
            self._tally.longest_hold = max(self._tally.longest_hold, waiter.waited)
            self.holds.observe(waiter.waited)
            del self.waiting[waiter]
            self._waiting_of[owner] -= 1
            if not self._waiting_of[owner]:
                del self._waiting_of[owner]
            self._wake_next()

    def refusal(self, why: str) -> Refused:
        return Refused(why, max(1, math.ceil(self.settings.timeout / 10)))

    # --- for the gate and the site ---

    def gate_opened(self) -> None:
        """Let the first requests go."""
        self._ramp = self.settings.ramp
        if self.waiting:
            self._ramping.set()
        self._wake_next()

    def let_one_more(self) -> None:
        self._ramp += 1
        self._wake_next()

    def set_timeouts(self, *, stopped: bool) -> None:
        """Stop the timeouts of all requests, or let them begin anew."""
        self._has_timeouts = not stopped
        for waiter in self.waiting:
            waiter.scope.deadline = self._deadline()

    def refuse_held(self, why: str) -> None:
        """Refuse the requests that wait now, whatever is live."""
        for waiter in self.waiting:
            waiter.refused = self.refusal(why)
            waiter.turn.set()

    def check_held(self) -> None:
        """Have each request that waits now check whether it may go on waiting."""
        for waiter in self.waiting:
            waiter.must_check = True
            waiter.turn.set()

    async def keep_ramping(self) -> None:
        """Release more requests each second while any wait."""
        while True:
            await self._ramping.wait()
            await trio.sleep(RAMP_PATIENCE)
            if self.waiting and self._gate_is_open():
                self._ramp = max(self._ramp, 0) + self.settings.ramp
                self._wake_next()
            else:
                self._ramping = trio.Event()

    # --- inside ---

    def _check_space(self, owner: str) -> None:
        if len(self.waiting) >= self.settings.limit:
            raise self.refusal("Too many requests are waiting already.")
        if owner and self._waiting_of[owner] >= self.settings.per_client:
            raise self.refusal("Too many requests from your address are waiting already.")

    def _deadline(self) -> float:
        """The deadline of a wait that begins now."""
        return trio.current_time() + self.settings.timeout if self._has_timeouts else math.inf

    def _may_go(self, waiter: Waiter) -> bool:
        return self._gate_is_open() and self._ramp > 0 and next(iter(self.waiting)) is waiter

    def _wake_next(self) -> None:
        if self.waiting and self._gate_is_open() and self._ramp > 0:
            next(iter(self.waiting)).turn.set()


def _do_nothing() -> None:
    pass
