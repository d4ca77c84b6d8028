"""One swap, told from top to bottom.

Overlap: the new release starts beside the live one; once it is healthy, one assignment makes it
live; the old one finishes its requests, is kept warm for a while, and is stopped.

Exclusive: requests wait; the live release finishes what it has and is stopped; the new one starts;
the requests that waited go to it. If it fails, they go to the old release, started again.

Up to the switch (in an exclusive swap, to the hold) a newer wanted revision calls the swap off.
From there it is carried through, since turning back would cost more than going on.
"""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime

import trio
from attrs import evolve

from blue_green.config.settings import Seconds
from blue_green.routing.lease import Lease, cut
from blue_green.site.draining import drain, requests_of, until_ended
from blue_green.site.phases import HEALTH, RESTART, ROLLBACK, Steps, in_flight_of, output_of
from blue_green.site.receipt import Receipt, Result
from blue_green.site.retirement import SOON
from blue_green.site.slots import Slot
from blue_green.source.failure import MachineFault, Refused, StepFailed, SwapCancelled
from blue_green.source.release import Release
from blue_green.system.process import environment

logger = logging.getLogger(__name__)

HOLDER = "swap"
LAST_WORDS = 1.0
"""Seconds to wait for the rest of what a release wrote that has died."""
GOES_BACK = "a rollback was asked for"


class Swap(Steps):
    """From a wanted revision to the old backend retired, or to nothing changed."""

    async def run(self) -> Receipt:
        """Do it. Expected failures are in the receipt."""
        self.site.releases.use(self.settings.release, environment(self.settings))
        tally = self.site.gate.start_tally()
        try:
            with self.until_switch:
                outcome = await self._swap()
            if self.until_switch.cancelled_caught:
                outcome = self.end("superseded", "something else was wanted")
        except SwapCancelled as error:
            self.is_refused = isinstance(error, Refused)
            outcome = self.end("failed", str(error))
        except StepFailed as failure:
            outcome = await self.failed(failure)
        except OSError as error:
            outcome = await self.failed(MachineFault(str(error)))
        except Exception as error:
            # What serves goes on, whatever we did wrong.
            logger.exception("swap %s: an error of our own", self.revision[:7])
            outcome = await self.failed(MachineFault(f"an error of our own: {error!r}"))
        if outcome == "reverted" and self.release:
            await self.report_data(self.release)
        if outcome != "promoted" and self.rebuild and self.release:
            await self.site.releases.discard(self.release)
        receipt, numbers = self.receipt, self.site.gate.tally_since(tally)
        receipt.outcome = outcome
        receipt.held, receipt.longest_hold = numbers.held, numbers.longest_hold
        receipt.retried, receipt.cut, receipt.failed = numbers.retried, numbers.cut, numbers.failed
        receipt.at = datetime.now(UTC).isoformat(timespec="seconds")
        self.phase = ""
        return receipt

    async def _swap(self) -> Result:
        site, state = self.site, self.site.state
        live = site.slots.live
        is_live = (
            live is not None and bool(live.backends) and self.receipt.previous == self.revision
        )
        if not self.retry and is_live:
            return self.end("unchanged", "it is live already")
        why = state.quarantine.get(self.revision)
        if why and live is not None and not self.retry:
            self.receipt.output = state.last_output(self.revision)
            raise Refused(f"it is in quarantine (swap --retry tries it again): {why}")
        await self.check_data(live)  # Also before the build, so that nobody waits for it in vain.
        self.release = release = await self._prepare()
        await self.check_data(live)
        if live is None:
            return await self._overlap(None, release)
        is_way_back = self.receipt.asked_by == ROLLBACK and not site.releases.in_place
        if is_way_back and (warm := site.retirement.take_back(self.revision)):
            return await self._overlap(live, release, warm)
        with self.timed("retire" if site.retirement.slot else ""):
            await site.retirement.hurry()
        if await self.must_be_exclusive(live):
            return await self._exclusive(live, release)
        return await self._overlap(live, release)

    async def _prepare(self) -> Release:
        releases = self.site.releases
        is_live = self.receipt.previous == self.revision
        is_to_be_made = releases.in_place or self.rebuild
        release = None if is_to_be_made else releases.find(self.revision)
        if release is not None and (is_live or not await releases.lacks_links(release)):
            return release
        if release is not None:
            await self.site.retirement.hurry()  # It is made again where the old one may still run.
        with self.timed("checkout"):
            release = await releases.add(self.revision, beside=self.rebuild)
        # In place there is always a build, but not for what has been built and runs already.
        is_built = releases.in_place and self.receipt.asked_by in (HEALTH, RESTART)
        with self.timed("build" if releases.config.build and not is_built else ""):
            if not is_built:
                await releases.build(release)
        return release

    # --- overlap ---

    async def _overlap(
        self, old: Slot | None, release: Release, warm: Slot | None = None
    ) -> Result:
        """`warm` is the slot in which the release runs already, if it does."""
        await self.migrate(release)
        async with self.starting(self.site.slots.idle, release, is_warm=bool(warm)) as candidate:
            await self.start(candidate, release)
            await self.check_data_again(old)
            in_flight = await self.switch(candidate, old)
        if old is None:
            return await self.promote(candidate)
        switched_at = trio.current_time()
        trouble = await self._soak(old, candidate, in_flight)
        if trouble:
            return await self._revert(old, candidate, trouble)
        self.site.retirement.begin(old, self.settings.swap, self.receipt, switched_at=switched_at)
        return await self.promote(candidate)

    async def _soak(self, old: Slot, candidate: Slot, in_flight: int) -> str:
        """Let the new one prove itself while the old one finishes; what is wrong with it, if so."""
        soak_until = trio.current_time() + self.settings.swap.soak
        trouble = ""
        self.can_go_back = True
        async with trio.open_nursery() as nursery:

            def go_back(why: str) -> None:
                nonlocal trouble
                trouble = trouble or why
                nursery.cancel_scope.cancel()

            async def watch() -> None:
                go_back(await candidate.first_failure(self.settings))

            async def listen() -> None:
                await self.go_back.wait()
                go_back(GOES_BACK)

            nursery.start_soon(watch)
            nursery.start_soon(listen)
            with self.timed("drain"):
                await drain(old.targets, self.settings.swap.soak)
            with self.timed("soak" if self.settings.swap.soak else ""):
                await trio.sleep_until(soak_until)
            nursery.cancel_scope.cancel()
        self.can_go_back = False
        self.receipt.drained = in_flight - in_flight_of(old)
        if self.go_back.is_set():
            trouble = trouble or GOES_BACK
        return trouble

    async def _revert(self, old: Slot, candidate: Slot, trouble: str) -> Result:
        """Traffic goes back to the old release at once; then the new one is cleared away."""
        site, now = self.site, trio.current_time()
        site.slots.go_live(old)
        old.supervise()
        backends = candidate.backends
        settings = evolve(self.settings.swap, stream_timeout=Seconds(SOON))  # They should not stay.
        site.retirement.begin(candidate, settings, self.receipt, switched_at=now)
        with trio.move_on_after(LAST_WORDS):
            for backend in backends:
                if not backend.is_alive:
                    await backend.process.gone.wait()
        return self.reverted(trouble, output_of(backends))

    # --- exclusive ---

    async def _exclusive(self, old: Slot, release: Release) -> Result:
        site, candidate = self.site, self.site.slots.idle
        slow = requests_of(old.targets)
        await self._let_finish(slow)
        await trio.lowlevel.checkpoint_if_cancelled()
        self.is_past_switch = True
        try:
            with self.timed("drain"):
                await self._hold_and_drain(old, slow)
            with self.timed("stop"):
                site.gate.switch(())
                await old.stop()
            await self.check_data_again(old)  # Nothing of it can write any more.
            if trouble := await self._replace(candidate, release):
                backends = candidate.backends
                await self._bring_back(old, candidate)
                return self.reverted(trouble, output_of(backends))
        except SwapCancelled:
            raise  # It serves on.
        except Exception:
            await self._bring_back(old, candidate)
            raise
        finally:
            site.gate.resume(HOLDER)
        return await self.promote(candidate)

    async def _let_finish(self, requests: Sequence[Lease]) -> None:
        """Wait for those that are in flight now while others are served: nobody waits for them."""
        if self.receipt.asked_by == HEALTH:
            return  # One that hangs will not finish anything.
        with self.timed("finish" if requests else ""):
            with trio.move_on_after(self.settings.swap.drain_timeout):
                await until_ended(requests)
        self._check_overdue(sum(lease.is_open and not lease.is_stream for lease in requests))

    async def _hold_and_drain(self, old: Slot, slow: Sequence[Lease]) -> None:
        """Hold all requests, and wait for those in flight; the slow ones had their time before."""
        self.site.gate.hold(HOLDER, is_patient=True)
        late = [lease for lease in slow if lease.is_open and not lease.is_stream]
        in_flight = in_flight_of(old) - len(late)
        cut(late)
        left = await drain(old.targets, self.settings.swap.drain_timeout)
        self._check_overdue(left)
        cut(requests_of(old.targets))
        self.receipt.drained = in_flight - left

    def _check_overdue(self, left: int) -> None:
        """Call the swap off if requests are still in flight, and that is what the settings want."""
        swap = self.settings.swap
        if left and swap.overdue == "call-off" and self.receipt.asked_by != HEALTH:
            were = "request was" if left == 1 else "requests were"
            raise SwapCancelled(f"{left} {were} still in flight after {swap.drain_timeout:g} s")

    async def _replace(self, candidate: Slot, release: Release) -> str:
        """Start the new release where nothing runs; what is wrong with it after the switch."""
        site = self.site
        async with self.starting(candidate, release):
            await self.migrate(release)
            await self.start(candidate, release)
            await self.switch(candidate, None)
        site.gate.resume(HOLDER)
        trouble = ""
        soak = self.settings.swap.soak
        with self.timed("soak" if soak else ""):
            with trio.move_on_after(soak):
                trouble = await candidate.first_failure(self.settings)
        if trouble:
            site.gate.hold(HOLDER, is_patient=True)
            cut(requests_of(candidate.targets))
        return trouble

    async def _bring_back(self, old: Slot, candidate: Slot) -> None:
        """Start the old release again. From then on it is kept like any that is live."""
        site = self.site
        assert old.release is not None
        with self.timed("bring back"):
            await candidate.stop()
            site.slots.go_live(old)
            old.supervise()
            await old.settled.wait()
