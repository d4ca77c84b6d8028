"""`current` in the state directory: a symbolic link to the live release."""

import logging
from pathlib import Path

import trio

from blue_green.system import threads

logger = logging.getLogger(__name__)

RETRY_INTERVAL = 10.0
"""Seconds until the next attempt after the link could not be changed."""


class CurrentLink:
    """The link, and a task that changes it. Nothing of ours reads it: it is for people."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.release: Path | None = None
        """Where it should lead; None before anything is live."""
        self._changed = trio.Event()
        self._is_failing = False

    def lead_to(self, release: Path) -> None:
        """Let it lead to this release, soon."""
        self.release = release
        self._changed.set()

    async def run(self) -> None:
        """Change the link whenever another release is live, until cancelled."""
        while True:
            await self._changed.wait()
            self._changed = trio.Event()
            assert self.release is not None
            try:
                await threads.run(self._replace, self.release)
                self._is_failing = False
            except OSError as error:
                if not self._is_failing:
                    logger.warning("cannot change the link %s: %s", self.path, error.strerror)
                self._is_failing = True
                self._changed.set()
                await trio.sleep(RETRY_INTERVAL)

    def _replace(self, release: Path) -> None:
        """Replace the link atomically (rename(2)), so that there always is one."""
        if self.path.is_symlink() and self.path.readlink() == release:
            return
        beside = self.path.with_name(f"{self.path.name}.new")
        beside.unlink(missing_ok=True)
        beside.symlink_to(release)
        beside.replace(self.path)
