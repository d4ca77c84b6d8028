"""A generation: what a switch has made live, until the next switch."""

import trio

from blue_green.config.settings import SiteSettings
from blue_green.site.processes.restart_pace import RestartPace
from blue_green.source.failure import StepFailed
from blue_green.source.release import Release


class Generation:
    """A release with the slot and the settings that it went live with.

    Each switch begins a new generation, even if it leads to the same release.
    """

    def __init__(self, slot: str, release: Release, settings: SiteSettings) -> None:
        self.slot = slot
        self.release = release
        self.settings = settings
        self.supervised = trio.Event()
        """It has proved itself: from now on, processes that end are started again."""
        self.restart_pace = RestartPace()
        self.failed = trio.Event()
        self.failure: StepFailed | None = None
        """How the first of its processes failed before it was supervised."""

    def fail(self, failure: StepFailed) -> None:
        """Note that one of its processes has failed, which is for the swap to handle."""
        self.failure = self.failure or failure
        self.failed.set()
