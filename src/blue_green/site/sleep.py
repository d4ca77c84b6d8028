"""Sleep: a site that nobody uses is stopped, and the next request starts it again.

A site falls asleep at a moment in which no request is in flight. In that moment the gate loses its
targets, so that each later request waits there, and only then the backends are stopped. A request
that waits wakes the site: its release is started in its slot, and then gets all that wait, in their
order. Deploys go on meanwhile: a swap replaces a sleeping release like one that runs.
"""

import logging
import time
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

import trio

from blue_green.site import probation
from blue_green.site.crash import Crash
from blue_green.site.last_use import LastUse
from blue_green.site.state import SleepRecord
from blue_green.source.failure import MachineFault, StepFailed
from blue_green.system.backoff import delay_after

if TYPE_CHECKING:
    from blue_green.site.site import Site
    from blue_green.site.slot import Slot

logger = logging.getLogger(__name__)

LOOKS = 20
"""How often in `after` the site is looked at, so that it falls asleep at most that much later."""
SHORTEST_PAUSE, LONGEST_PAUSE = 0.02, 60.0
"""Seconds between two looks."""
RECHECK = 1.0
"""Seconds between two looks when a swap, or anything else, keeps it awake."""
FIRST_BACKOFF, LONGEST_BACKOFF = 1.0, 60.0
"""Seconds after a start that failed in which requests do not start the site again."""
IS_DOWN = "The site is down: it failed to start."
TOO_SLOW = "The site was asleep, and has not started in time."


class Wakefulness(Enum):
    """Whether the live release of a site runs."""

    AWAKE = "awake"
    FALLING_ASLEEP = "falling asleep"
    ASLEEP = "asleep"
    WAKING = "waking"


class Sleep:
    """Stops the live release when nobody uses it, and starts it when somebody does."""

    def __init__(self, site: "Site") -> None:
        self.state = Wakefulness.AWAKE
        self._site = site
        self._last_use = LastUse(site)
        self._changed = trio.Event()
        self._waking = trio.CancelScope()
        self._failures = 0
        """Consecutive starts that failed."""
        self._retry_at = 0.0
        """Until then, requests are refused after such a failure."""
        site.gate.queue.on_wait = self._note_change

    @property
    def is_awake(self) -> bool:
        return self.state is Wakefulness.AWAKE

    @property
    def is_asleep(self) -> bool:
        """Whether nothing of it runs, but for schedules and what `processes` lets run."""
        return self.state is Wakefulness.ASLEEP

    @property
    def was_asleep(self) -> bool:
        """Whether it was asleep when its supervisor ended, and is to stay so."""
        record = self._site.state.sleep
        is_asleep = record is not None and record.since is not None
        return is_asleep and self._site.settings.idle.after is not None

    @property
    def stops_processes(self) -> bool:
        """Whether the processes of the site sleep when it does."""
        idle = self._site.settings.idle
        return idle.after is not None and idle.processes == "stop"

    @property
    def phase(self) -> str:
        return "waking" if self.state is Wakefulness.WAKING else "asleep"

    def as_dict(self) -> dict[str, Any] | None:
        """As an object of the control protocol; None if the site never sleeps."""
        after, record = self._site.settings.idle.after, self._site.state.sleep
        if after is None and self.is_awake:
            return None
        record = record or SleepRecord()
        since = None
        if self.is_asleep and record.since is not None:
            since = datetime.fromtimestamp(record.since, UTC)
        return {
            "after": after,
            "state": self.state.value,
            "since": since.isoformat(timespec="seconds") if since else None,
            "wakes": record.wakes,
            "failed_wakes": record.failed_wakes,
            "last_wake_seconds": record.last_wake_seconds,
        }

    def use_settings(self) -> None:
        """Use the settings of the site, which have changed."""
        if not self.is_awake and not self.stops_processes:
            self._site.processes.wake()
        elif self.state in (Wakefulness.FALLING_ASLEEP, Wakefulness.ASLEEP):
            self._site.processes.sleep()
        self._note_change()

    def note_live(self, *, asleep: bool) -> None:
        """Note that a release goes live, and runs from now on unless it is `asleep`."""
        self.end()
        if self._site.slots.live is None:
            self._last_use.is_now()
        if asleep:
            self._last_use.forget()
            self._be(Wakefulness.ASLEEP)
        elif self._site.state.sleep is not None:
            self._site.state.sleep.since = None

    def end(self) -> None:
        """Leave it to the caller what runs from now on: a swap, or the stop of the site."""
        self._waking.cancel()
        self._failures, self._retry_at = 0, 0.0
        self._be(Wakefulness.AWAKE)
        self._note_change()

    async def run(self) -> None:
        """Let the site fall asleep and wake, until cancelled."""
        while True:
            if self._must_sleep:
                await self._fall_asleep()
            elif self._must_wake:
                await self._wake()
            else:
                with trio.move_on_after(self._pause()):
                    await self._changed.wait()
                self._changed = trio.Event()
                self._end_backoff()

    @property
    def _must_sleep(self) -> bool:
        site, after = self._site, self._site.settings.idle.after
        if after is None or not self.is_awake or self._last_use.seconds_ago() < after:
            return False
        live = site.slots.live
        is_serving = live is not None and not live.is_static and bool(site.gate.targets)
        is_changing = not site.queue.is_idle or site.queue.lock.locked()
        is_retiring = site.retirement.slot is not None
        return is_serving and not (is_changing or is_retiring or site.is_stopping)

    @property
    def _must_wake(self) -> bool:
        if not self.is_asleep:
            return False
        is_wanted = bool(self._site.gate.held) and trio.current_time() >= self._retry_at
        return is_wanted or self._site.settings.idle.after is None

    def _pause(self) -> float:
        """Seconds until something may have to be done, unless anything changes before."""
        after, now = self._site.settings.idle.after, trio.current_time()
        if not self.is_awake:
            return self._retry_at - now if self._retry_at > now else float("inf")
        if after is None:
            return float("inf")
        pause = min(max(after / LOOKS, SHORTEST_PAUSE), LONGEST_PAUSE)
        left = after - self._last_use.seconds_ago()
        return min(pause, max(left, SHORTEST_PAUSE) if left > 0 else RECHECK)

    async def _fall_asleep(self) -> None:
        """Stop the live release, while no swap can begin."""
        site, slot = self._site, self._site.slots.live
        assert slot is not None
        site.queue.lock.acquire_nowait()
        try:
            # Nothing is in flight, and there is no checkpoint before requests wait.
            self._be(Wakefulness.FALLING_ASLEEP)
            site.gate.switch(())
            if self.stops_processes:
                site.processes.sleep()
            await slot.stop()
        finally:
            site.queue.lock.release()
        if self.state is Wakefulness.FALLING_ASLEEP:
            self._note_asleep()
            logger.info("asleep: nobody has used it for %g s", site.settings.idle.after or 0)

    async def _wake(self) -> None:
        site, slot = self._site, self._site.slots.live
        assert slot is not None
        if site.settings.idle.after is None:  # A reload has put an end to all sleep.
            self.note_live(asleep=False)
            site.processes.wake()
            slot.supervise()
            return
        began = trio.current_time()
        self._be(Wakefulness.WAKING)
        self._record.since = None
        site.state_file.change()
        site.gate.explain(TOO_SLOW)
        logger.info("waking: it is used again")
        failure: StepFailed | None = None
        with trio.CancelScope() as self._waking:
            try:
                await self._start(slot)
            except StepFailed as failed:
                failure = failed
            except OSError as error:
                failure = MachineFault(str(error))
        if self._waking.cancelled_caught or self.state is not Wakefulness.WAKING:
            return
        if failure is not None:
            await self._note_failure(slot, failure)
        else:
            self._note_awake(slot, trio.current_time() - began)

    async def _start(self, slot: "Slot") -> None:
        """Start the release, and wait until it is healthy; raise `StepFailed`."""
        assert slot.release is not None
        slot.crash = None
        await slot.choose_addresses()
        await slot.start(slot.release)
        health = self._site.settings.health
        await probation.all_pass(probation.until_healthy, slot.backends, health)

    def _note_awake(self, slot: "Slot", seconds: float) -> None:
        site, record = self._site, self._record
        self._be(Wakefulness.AWAKE)
        self._failures = 0
        site.gate.switch(slot.open_targets)
        site.gate.stop_refusing()
        slot.supervise()
        site.processes.wake()
        record.wakes += 1
        record.wake_seconds += seconds
        record.last_wake_seconds = round(seconds, 3)
        site.state_file.change()
        site.show(f"Serving {(site.slots.live_revision or '')[:7]} in {slot.name}")
        logger.info("awake after %.2f s", seconds)

    async def _note_failure(self, slot: "Slot", failure: StepFailed) -> None:
        """Refuse the requests that wait, and all others for a while."""
        site, release = self._site, slot.release
        assert release is not None
        self._failures += 1
        self._record.failed_wakes += 1
        backoff = delay_after(self._failures, first=FIRST_BACKOFF, longest=LONGEST_BACKOFF)
        self._retry_at = trio.current_time() + backoff
        site.gate.refuse(IS_DOWN)
        logger.error("cannot wake: %s", failure)
        logger.info("the next request in %g s or later starts it again", backoff)
        address, why = slot.addresses[0], str(failure)
        slot.crash = Crash(
            slot.name, address, release.revision, self._failures, why, failure.output
        )
        site.report_crash(slot.crash)
        await slot.stop()
        if self.state is Wakefulness.WAKING:  # Otherwise a swap has taken over.
            self._note_asleep()

    def _end_backoff(self) -> None:
        """Let requests wake the site again, if it is time for that."""
        is_over = self._retry_at and trio.current_time() >= self._retry_at
        if is_over and self.is_asleep:
            self._retry_at = 0.0
            self._site.gate.stop_refusing()

    def _note_asleep(self) -> None:
        self._be(Wakefulness.ASLEEP)
        self._record.since = time.time()
        self._site.state_file.change()
        self._site.show("Asleep")

    def _be(self, state: Wakefulness) -> None:
        self.state = state
        self._site.watch.is_relaxed = state is Wakefulness.ASLEEP
        self._site.rate.relax(is_asleep=state is Wakefulness.ASLEEP)

    @property
    def _record(self) -> SleepRecord:
        if self._site.state.sleep is None:
            self._site.state.sleep = SleepRecord()
        return self._site.state.sleep

    def _note_change(self) -> None:
        self._changed.set()
