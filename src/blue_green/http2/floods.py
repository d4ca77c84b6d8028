"""Budgets against frames that achieve nothing: resets, pings, settings, empty frames.

A frame costs its sender less than us. One that opens a request is limited by the number of streams,
one with data by the windows. All others are limited here.
"""

from collections.abc import Callable

from h2.errors import ErrorCodes

from blue_green.http2.session_over import SessionOver

PERIOD = 10.0
"""Seconds in which a budget that was used up is whole again."""

UPDATES_FOR_REQUEST = 2
"""WINDOW_UPDATE frames that a request explains: some clients widen the window of each stream."""
UPDATES_FOR_DATA = 4
"""Those that data of ours explain, for their stream and the connection."""
BYTES_FOR_UPDATE = 1024
"""Bytes of data that explain another one: some clients give credit for each piece they read."""
MOST_EXPLAINED = 4000
"""WINDOW_UPDATE frames that may still come for what was there before."""


class FrameBudget:
    """A token bucket: `limit` at once, and as many again over `PERIOD`."""

    def __init__(self, limit: int, clock: Callable[[], float]) -> None:
        self.limit = limit
        self._left = float(limit)
        self._clock = clock
        self._filled_at = clock()

    def set_limit(self, limit: int) -> None:
        self._left += limit - self.limit
        self.limit = limit

    def spend(self, count: int = 1) -> bool:
        """Take so many; whether there were as many left."""
        now = self._clock()
        more = (now - self._filled_at) * self.limit / PERIOD
        self._left = min(self._left + more, self.limit)
        self._filled_at = now
        if self._left < count:
            return False
        self._left -= count
        return True


class Floods:
    """The budgets of one connection. A client over one gets ENHANCE_YOUR_CALM (`SessionOver`)."""

    def __init__(
        self, max_resets: int, max_control_frames: int, clock: Callable[[], float]
    ) -> None:
        self._resets = FrameBudget(max_resets, clock)
        self._control_frames = FrameBudget(max_control_frames, clock)
        self._explained = 0

    def set_limits(self, max_resets: int, max_control_frames: int) -> None:
        self._resets.set_limit(max_resets)
        self._control_frames.set_limit(max_control_frames)

    def reset(self) -> None:
        """Note a request that the client took back, or for which it made us reset its stream."""
        if not self._resets.spend():
            raise _flood(f"more than {self._resets.limit} requests were cancelled", "max_resets")

    def control_frame(self, weight: int = 1) -> None:
        """Note a frame that opens no request and brings no data, and has so many effects."""
        if not self._control_frames.spend(weight):
            what = f"more than {self._control_frames.limit} frames had no effect"
            raise _flood(what, "max_control_frames")

    def request(self) -> None:
        """Note a request."""
        self._explain(UPDATES_FOR_REQUEST)

    def data_sent(self, count: int, *, fills_window: bool) -> None:
        """Note that we sent so many bytes, and whether the client's window allowed no more.

        Windows of a few bytes explain nothing: they would make a frame of each of these bytes.
        """
        if fills_window and count < BYTES_FOR_UPDATE:
            return
        self._explain(UPDATES_FOR_DATA + count // BYTES_FOR_UPDATE)

    def window_update(self) -> None:
        """Note a WINDOW_UPDATE frame, which is honest as far as DATA of ours explains it."""
        if self._explained:
            self._explained -= 1
        else:
            self.control_frame()

    def _explain(self, count: int) -> None:
        self._explained = min(self._explained + count, MOST_EXPLAINED)


def _flood(what: str, setting: str) -> SessionOver:
    why = f"{what} within {PERIOD:g} s ([proxy.http2] {setting})"
    return SessionOver(ErrorCodes.ENHANCE_YOUR_CALM, why)
