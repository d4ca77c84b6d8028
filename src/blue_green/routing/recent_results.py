"""The results of a release in the last minutes: what it did days ago says little about today."""

from attrs import define, field

from blue_green.routing.results import Results

RECENT_SECONDS = 600.0
RECENT_REQUESTS = 1000
"""What happens in ten minutes is not enough where few requests come."""
LAST_SECONDS = 60.0


@define(eq=False)
class Window:
    """The end of the results of a release: of at least so many seconds and requests.

    It has up to twice as much, and all there is until there is enough.
    """

    results: Results
    seconds: float
    requests: int
    _start: Results = field(factory=Results, init=False)
    _next_start: Results = field(factory=Results, init=False)
    _noted_at: float | None = field(default=None, init=False)
    """When `_next_start` was noted."""

    def note(self, now: float) -> None:
        """Move the start of the window, if enough has happened since."""
        enough = (self.results.counts - self._next_start.counts).requests >= self.requests
        if self._noted_at is None:
            self._noted_at = now
        elif enough and now - self._noted_at >= self.seconds:
            self._start, self._next_start = self._next_start, self.results.copy()
            self._noted_at = now

    def get(self) -> Results:
        return self.results.since(self._start)


class RecentResults:
    """The last part of the results of a release, as far as `note` is called now and then."""

    def __init__(self, results: Results) -> None:
        self._recent = Window(results, RECENT_SECONDS, RECENT_REQUESTS)
        self._last = Window(results, LAST_SECONDS, 1)

    def note(self, now: float) -> None:
        self._recent.note(now)
        self._last.note(now)

    def recent(self) -> Results:
        """Those of ten minutes and 1000 requests at least, or all."""
        return self._recent.get()

    def last(self) -> Results:
        """Those of the last minute or two, or of the last request if that is older."""
        return self._last.get()
