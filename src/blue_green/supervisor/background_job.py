"""A job that a signal handler requests, and a task carries out."""

import logging
from collections.abc import Awaitable, Callable

import trio

logger = logging.getLogger(__name__)


class BackgroundJob:
    """Runs a job each time that it is requested. Requests during a run cause one more run."""

    def __init__(self, job: Callable[[], Awaitable[None]]) -> None:
        self._job = job
        self._requested = trio.Event()

    def request(self) -> None:
        """Have `run` do the job soon."""
        self._requested.set()

    async def run(self) -> None:
        """Do the job whenever it is requested, until cancelled.

        An error of ours in it must not end the process, with all its sites.
        """
        while True:
            await self._requested.wait()
            self._requested = trio.Event()
            try:
                await self._job()
            except Exception:
                logger.exception("internal error in what a signal has requested")
