"""A command of the owner's, run after each swap and each crash, to tell whoever should know.

It gets one JSON object on its standard input. The rules:

- Nothing waits for it. Events wait for it, up to a bound; then the oldest are given up.
- One runs at a time, so that events are told in the order in which they happened.
- It runs as the app does. We may be root, and what it is given has lines that the app wrote.
- Its own failures are a line in the log each, and nothing else.
"""

import json
import logging
import socket
import time
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import trio

from blue_green.config.settings import Settings
from blue_green.site.crash import Crash
from blue_green.site.receipt import Receipt
from blue_green.system import command
from blue_green.system.process import CannotStart, environment
from blue_green.system.users import User

logger = logging.getLogger(__name__)

MOST_WAITING = 20
"""Events that wait for the command: more would be told when nobody wants to hear them any more."""
MOST_CRASHES = 10
"""Crashes that are told in each `CRASH_PERIOD`. A request that kills the app may come often."""
CRASH_PERIOD = 600.0
LAST_MOMENT = 5.0
"""Seconds that are left for what still waits when the supervisor stops, or is upgraded."""


class Notify:
    """Tells the command of `[notify]` what happens."""

    def __init__(self, settings: Settings, user: User, directory: Path) -> None:
        """The command runs in this directory, as this user."""
        self._settings = settings
        self._user = user
        self._directory = directory
        self._waiting: deque[dict[str, Any]] = deque()
        self._crashes: deque[float] = deque(maxlen=MOST_CRASHES)
        """When the last ones that were told happened."""
        self._untold = 0
        self._more = trio.Event()
        self._all_told = trio.Event()
        self._all_told.set()

    def use(self, settings: Settings) -> None:
        """From now on these hold, also for events that wait already."""
        self._settings = settings

    def swapped(self, receipt: Receipt) -> None:
        """A swap has ended."""
        numbers = receipt.as_dict()
        same = ("at", "outcome", "revision", "subject", "previous", "reason", "output")
        self._tell({"event": "swap", **{key: numbers[key] for key in same}, "receipt": numbers})

    def crashed(self, crash: Crash) -> None:
        """A live backend has ended, or did not start again."""
        now = time.monotonic()
        if len(self._crashes) == MOST_CRASHES and now - self._crashes[0] < CRASH_PERIOD:
            if not self._untold:
                logger.warning("[notify] command is not told of each crash: there are too many")
            self._untold += 1
            return
        self._crashes.append(now)
        untold, self._untold = self._untold, 0
        self._tell(
            {
                "event": "crash",
                "at": datetime.now(UTC).isoformat(timespec="seconds"),
                "outcome": "crashed",
                "revision": crash.revision,
                "subject": None,
                "previous": None,
                "reason": crash.reason,
                "output": list(crash.output),
                "receipt": None,
                "slot": crash.slot,
                "port": crash.port,
                "deaths": crash.deaths,
                "untold": untold,
            }
        )

    async def run(self) -> None:
        """Run the command for each event, until cancelled."""
        while True:
            while not self._waiting:
                self._all_told.set()
                self._more = trio.Event()
                await self._more.wait()
            await self._run_command(self._waiting.popleft())

    async def finish(self) -> None:
        """Wait for what is still to be told, for a moment."""
        with trio.move_on_after(LAST_MOMENT) as moment:
            await self._all_told.wait()
        if moment.cancelled_caught:
            logger.warning("[notify] command is not waited for, and has not been told everything")

    def _tell(self, event: dict[str, Any]) -> None:
        if self._settings.notify.command is None:
            return
        if len(self._waiting) >= MOST_WAITING:
            given_up = self._waiting.popleft()
            logger.warning(
                "[notify] command is too slow: it is not told of the %s of %s",
                given_up["event"], given_up["at"],
            )  # fmt: skip
        name = {"name": self._settings.app.name, "host": socket.gethostname()}
        self._waiting.append({"event": event["event"], **name, **event})
        if self._all_told.is_set():
            self._all_told = trio.Event()
        self._more.set()

    async def _run_command(self, event: dict[str, Any]) -> None:
        argv, timeout = self._settings.notify.command, self._settings.notify.timeout
        if argv is None:
            return  # A reload has taken it away.
        try:
            done = await command.run(
                argv,
                cwd=self._directory,
                env=environment(self._settings),
                user=self._user,
                timeout=timeout,
                inherits=True,
                stdin=json.dumps(event).encode() + b"\n",
            )
        except (CannotStart, OSError) as error:
            logger.error("[notify] command: %s", error)
        else:
            if not done.ok:
                last = f": {done.tail[-1]}" if done.tail else ""
                logger.error("[notify] command: %s%s", done, last)
