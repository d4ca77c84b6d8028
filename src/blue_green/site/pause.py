"""A manual pause: requests wait, and the pause ends by itself."""

import logging
import math
import time

import trio

from blue_green.routing.gate import Gate
from blue_green.site.state import State
from blue_green.site.state_file import StateFile

logger = logging.getLogger(__name__)

HOLDER = "pause"
LONGEST_PAUSE = 24 * 3600.0
"""Seconds that a pause may last."""


class Pause:
    """Holds the gate until `resume`, or until its time is up."""

    def __init__(self, gate: Gate, state: State, file: StateFile) -> None:
        self._gate = gate
        self._state = state
        self._file = file
        self._ends_at: float | None = None
        self._changed = trio.Event()

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the pause ends; None if there is none."""
        return None if self._ends_at is None else max(0.0, self._ends_at - trio.current_time())

    def begin(self, seconds: float) -> None:
        """Pause for so many seconds from now, or change the end of the current pause to that."""
        self._gate.hold(HOLDER)
        self._set(seconds)
        logger.info("paused for %g s: requests are held", seconds)

    def end(self) -> None:
        if self._ends_at is not None:
            self._set(None)
            self._gate.resume(HOLDER)
            logger.info("resumed")

    def restore(self) -> None:
        """Continue a pause from before a restart."""
        if self._state.paused_until is not None:
            left = self._state.paused_until - time.time()
            if left > 0:
                self.begin(min(left, LONGEST_PAUSE))  # The clock may have been set back.

    async def run(self) -> None:
        """End each pause when its time is up, until cancelled."""
        while True:
            left_now = self.seconds_left
            with trio.move_on_after(math.inf if left_now is None else left_now) as until:
                await self._changed.wait()
            self._changed = trio.Event()
            if until.cancelled_caught:
                self.end()

    def _set(self, seconds: float | None) -> None:
        self._ends_at = None if seconds is None else trio.current_time() + seconds
        self._state.paused_until = None if seconds is None else time.time() + seconds
        self._file.change()
        self._changed.set()
