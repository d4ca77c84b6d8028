"""The pace of the restarts of a process, whose instances often die together."""

from collections import defaultdict, deque

import trio

MOST_IN_A_SECOND = 20
"""Restarts of all instances together: a hundred that die at once would take all the CPU time."""


class RestartPace:
    """The last restarts of each process of a generation."""

    def __init__(self) -> None:
        self._restarts: dict[str, deque[float]] = defaultdict(
            lambda: deque(maxlen=MOST_IN_A_SECOND)
        )

    async def wait(self, name: str) -> None:
        """Wait until the process of this name may restart another instance."""
        restarts, now = self._restarts[name], trio.current_time()
        is_full = len(restarts) == MOST_IN_A_SECOND
        at = max(now, restarts[0] + 1.0) if is_full else now
        restarts.append(at)
        await trio.sleep_until(at)
