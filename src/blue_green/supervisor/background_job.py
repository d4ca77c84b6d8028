"""A job that a signal handler requests, and a task carries out."""

from collections.abc import Awaitable, Callable

import trio


class BackgroundJob:
    """Runs a job each time that it is requested. Requests during a run cause one more run."""

    def __init__(self, job: Callable[[], Awaitable[None]]) -> None:
        self._job = job
        self._requested = trio.Event()

    def request(self) -> None:
        """Have `run` do the job soon."""
        self._requested.set()

    async def run(self) -> None:
        """Do the job whenever it is requested, until cancelled."""
        while True:
            await self._requested.wait()
            self._requested = trio.Event()
            await self._job()
