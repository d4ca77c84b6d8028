"""One swap, told from top to bottom.

Overlap: the new release starts beside the live one; once it is healthy, one assignment makes it
live; the old one finishes its requests, is kept warm for a while, and is stopped.

Exclusive: requests wait; the live release finishes what it has and is stopped; the new one starts;
the requests that waited go to it. If it fails, they go to the old release, started again.

Up to the switch (in an exclusive swap, to the hold) a newer wanted revision calls the swap off.
From there it is carried through, since turning back would cost more than going on.
"""

import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import Any

import trio
from attrs import define

from blue_green.backend import Backend
from blue_green.failure import StepFailed
from blue_green.gate import Gate, cut
from blue_green.receipt import Receipt, Result
from blue_green.release import Release, Releases
from blue_green.settings import Swap as SwapSettings
from blue_green.slots import Slot, Slots
from blue_green.state import Live, State

logger = logging.getLogger(__name__)

Tell = Callable[[dict[str, Any]], None]
"""Told of each phase as it begins and ends, as an object of the control protocol."""

HOLDER = "swap"
HEALTH = "health"
"""Who asks for a swap when the live release is unwell."""
ROLLBACK = "a rollback was asked for"


class CalledOff(Exception):
    """The swap is not to go on, through no fault of the revision; str() says why."""


@define
class Site:
    """The parts that a swap works on."""

    settings: SwapSettings
    gate: Gate
    slots: Slots
    releases: Releases
    state: State


class Swap:
    """From a wanted revision to the old backend retired, or to nothing changed."""

    def __init__(
        self, site: Site, revision: str, *, retry: bool, asked_by: str, tell: Tell
    ) -> None:
        self.revision = revision
        self.phase = ""
        self.candidate: Slot | None = None
        """The slot that is to be live."""
        self.is_past_switch = False
        self.can_go_back = False
        """The old release is still warm."""
        self._site = site
        self._retry = retry
        self._tell = tell
        self._until_switch = trio.CancelScope()
        self._go_back = trio.Event()
        live = site.slots.live
        self._receipt = Receipt(
            outcome="promoted",
            revision=revision,
            previous=live.release.revision if live and live.release else None,
            asked_by=asked_by,
        )

    def supersede(self) -> None:
        """Something else is wanted: call it off, if it has not switched."""
        if not self.is_past_switch:
            self._until_switch.cancel()

    @property
    def is_superseded(self) -> bool:
        return self._until_switch.cancel_called

    def roll_back(self) -> bool:
        """Go back to the old release if it is still warm, and say whether it is."""
        if self.can_go_back:
            self._go_back.set()
        return self.can_go_back

    async def run(self) -> Receipt:
        """Do it. Expected failures are in the receipt."""
        tally = self._site.gate.start_tally()
        try:
            with self._until_switch:
                outcome = await self._swap()
            if self._until_switch.cancelled_caught:
                outcome = self._end("superseded", "something else was wanted")
        except CalledOff as error:
            outcome = self._end("failed", str(error))
        except StepFailed as failure:
            self._receipt.output = failure.output
            outcome = self._failed(str(failure))
        except OSError as error:
            # A full disk, say: whatever it is, what serves is untouched.
            outcome = self._failed(str(error))
        receipt, numbers = self._receipt, self._site.gate.tally_since(tally)
        receipt.outcome = outcome
        receipt.held, receipt.longest_hold = numbers.held, numbers.longest_hold
        receipt.retried, receipt.cut, receipt.failed = numbers.retried, numbers.cut, numbers.failed
        receipt.at = datetime.now(UTC).isoformat(timespec="seconds")
        self.phase = ""
        return receipt

    async def _swap(self) -> Result:
        site, state = self._site, self._site.state
        live = site.slots.live
        is_live = (
            live is not None and bool(live.backends) and self._receipt.previous == self.revision
        )
        if not self._retry and is_live:
            return self._end("unchanged", "it is live already")
        why = state.quarantine.get(self.revision)
        if why and live is not None and not self._retry:
            raise CalledOff(f"it is in quarantine (swap --retry tries it again): {why}")
        release = await self._prepare()
        if live is not None and site.settings.strategy == "exclusive":
            return await self._exclusive(live, release)
        return await self._overlap(live, release)

    async def _prepare(self) -> Release:
        releases = self._site.releases
        if not releases.in_place and (release := releases.find(self.revision)):
            return release
        with self._timed("checkout"):
            release = await releases.add(self.revision)
        with self._timed("build" if releases.config.build else ""):
            await releases.build(release)
        return release

    # --- overlap ---

    async def _overlap(self, old: Slot | None, release: Release) -> Result:
        async with self._candidate(self._site.slots.idle, release) as candidate:
            if old is None:
                await self._migrate(release)
            with self._timed("start"):
                candidate.start(release)
            with self._timed("probe"):
                await candidate.until_healthy()
            in_flight = await self._switch(candidate, old)
        if old is None:
            return self._promote(candidate)
        trouble = await self._drain_and_soak(old, candidate, in_flight)
        if trouble:
            return await self._revert(old, candidate, trouble)
        self._promote(candidate)
        with self._timed("retire"):
            await self._site.gate.close_tunnels(old.targets, self._site.settings.tunnel_timeout)
            await old.stop()
        return "promoted"

    async def _switch(self, candidate: Slot, old: Slot | None) -> int:
        """Make the candidate live; how many requests the old one still has in flight."""
        await trio.lowlevel.checkpoint_if_cancelled()
        with self._timed("switch"):
            self.is_past_switch = True
            self._site.slots.go_live(candidate)
        return _in_flight(old) if old else 0

    async def _drain_and_soak(self, old: Slot, candidate: Slot, in_flight: int) -> str:
        """Let the old one finish while the new one proves itself; what is wrong with it, if so."""
        settings, gate = self._site.settings, self._site.gate
        switched_at = trio.current_time()
        trouble = ""
        self.can_go_back = True
        async with trio.open_nursery() as nursery:

            def go_back(why: str) -> None:
                nonlocal trouble
                trouble = trouble or why
                nursery.cancel_scope.cancel()

            async def watch() -> None:
                with trio.move_on_at(switched_at + settings.soak):
                    go_back(await candidate.trouble())
                    return
                candidate.keep()  # The drain may go on for long, and it serves alone by now.

            async def listen() -> None:
                await self._go_back.wait()
                go_back(ROLLBACK)

            nursery.start_soon(watch)
            nursery.start_soon(listen)
            with self._timed("drain"):
                left = await gate.drain(old.targets, settings.drain_timeout)
                self._receipt.drained = in_flight - left
            with self._timed("soak" if settings.soak else ""):
                await trio.sleep_until(switched_at + settings.soak)
            nursery.cancel_scope.cancel()
        self.can_go_back = False
        if self._go_back.is_set():
            trouble = trouble or ROLLBACK
        if not trouble:
            cut(lease for target in old.targets for lease in target.leases if not lease.is_tunnel)
        return trouble

    async def _revert(self, old: Slot, candidate: Slot, trouble: str) -> Result:
        """Traffic goes back to the old release at once; then the new one is cleared away."""
        site = self._site
        site.slots.go_live(old)
        old.keep()
        backends = candidate.backends
        with self._timed("retire"):
            await site.gate.drain(candidate.targets, site.settings.drain_timeout)
            cut(lease for target in candidate.targets for lease in target.leases)
            await candidate.stop()
        return self._reverted(trouble, output_of(backends))

    # --- exclusive ---

    async def _exclusive(self, old: Slot, release: Release) -> Result:
        site, candidate = self._site, self._site.slots.idle
        await trio.lowlevel.checkpoint_if_cancelled()
        self.is_past_switch = True
        try:
            with self._timed("drain"):
                await self._hold_and_drain(old)
            with self._timed("stop"):
                cut(lease for target in old.targets for lease in target.leases)
                site.gate.switch(())
                await old.stop()
            if trouble := await self._replace(candidate, release):
                backends = candidate.backends
                await self._bring_back(old, candidate)
                return self._reverted(trouble, output_of(backends))
        except StepFailed:
            await self._bring_back(old, candidate)
            raise
        finally:
            site.gate.resume(HOLDER)
        return self._promote(candidate)

    async def _hold_and_drain(self, old: Slot) -> None:
        site, timeout = self._site, self._site.settings.drain_timeout
        site.gate.hold(HOLDER)
        in_flight = _in_flight(old)
        left = await site.gate.drain(old.targets, timeout)
        if left and self._receipt.asked_by != HEALTH:  # One that hangs will not finish anything.
            raise CalledOff(f"{left} requests were still in flight after {timeout:g} s")
        self._receipt.drained = in_flight - left

    async def _replace(self, candidate: Slot, release: Release) -> str:
        """Start the new release where nothing runs; what is wrong with it after the switch."""
        site = self._site
        async with self._candidate(candidate, release):
            await self._migrate(release)
            with self._timed("start"):
                candidate.start(release)
            with self._timed("probe"):
                await candidate.until_healthy()
            await self._switch(candidate, None)
        site.gate.resume(HOLDER)
        trouble = ""
        with self._timed("soak" if site.settings.soak else ""):
            with trio.move_on_after(site.settings.soak):
                trouble = await candidate.trouble()
        if trouble:
            site.gate.hold(HOLDER)
            cut(lease for target in candidate.targets for lease in target.leases)
        return trouble

    async def _bring_back(self, old: Slot, candidate: Slot) -> None:
        """Start the old release again. From then on it is kept like any that is live."""
        site = self._site
        assert old.release is not None
        with self._timed("bring back"):
            await candidate.stop()
            site.slots.go_live(old)
            old.keep()
            await old.settled.wait()

    # --- the way ---

    async def _migrate(self, release: Release) -> None:
        releases = self._site.releases
        with self._timed("migrate" if releases.config.migrate else ""):
            await releases.migrate(release)

    @asynccontextmanager
    async def _candidate(self, slot: Slot, release: Release) -> AsyncIterator[Slot]:
        """The slot in which a release starts. Unless it went live, nothing is left of it."""
        self.candidate = slot
        slot.release = release
        try:
            yield slot
        finally:
            self.candidate = None
            if self._site.slots.live is not slot:
                await slot.stop()

    def _promote(self, candidate: Slot) -> Result:
        """It has proved itself: from now on it is kept, and is what a restart begins with."""
        candidate.keep()
        state, previous = self._site.state, self._receipt.previous
        state.live = Live(candidate.name, self.revision)
        if previous != self.revision:
            state.previous = previous
        state.quarantine.pop(self.revision, None)
        self._site.releases.note_promoted(self.revision)
        return "promoted"

    def _reverted(self, trouble: str, output: Sequence[str]) -> Result:
        """After a rollback, another one goes forward again. Otherwise the revision is to blame."""
        state = self._site.state
        if self._go_back.is_set():
            state.previous = self.revision
        elif self._receipt.previous != self.revision:
            state.quarantine[self.revision] = trouble
            self._receipt.output = output
        return self._end("reverted", trouble)

    def _failed(self, why: str) -> Result:
        if self.revision != self._receipt.previous:
            self._site.state.quarantine[self.revision] = why
        return self._end("failed", why)

    def _end(self, outcome: Result, reason: str) -> Result:
        self._receipt.reason = reason
        return outcome

    @contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        """Tell of a phase, and how long it took. One without a name has nothing to do."""
        if not phase:
            yield
            return
        self.phase = phase
        began = trio.current_time()
        self._tell({"event": "phase", "phase": phase, "revision": self.revision})
        try:
            yield
        finally:
            seconds = trio.current_time() - began
            self._receipt.seconds[phase] = seconds
            self._tell({"event": "done", "phase": phase, "seconds": round(seconds, 4)})


def output_of(backends: Sequence[Backend]) -> Sequence[str]:
    return [line for backend in backends for line in backend.output]


def _in_flight(slot: Slot) -> int:
    return sum(not lease.is_tunnel for target in slot.targets for lease in target.leases)
