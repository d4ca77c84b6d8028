"""End processes of sites that are not in the settings any more.

A supervisor that is killed leaves the backends of all sites behind. The next one ends those of its
sites when it restores them; nothing else would end those of a site that was removed meanwhile.
"""

import signal
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import trio

from blue_green.config.settings import Settings
from blue_green.config.state_directory import of_site
from blue_green.site.orphans import end_orphans
from blue_green.system import log, supervisor_marker

STOP_TIMEOUT = 10.0
"""Seconds for a process to stop. The settings that would say it are gone."""


async def end_processes(settings: Settings) -> None:
    """End what other sites have left running below the state directory."""
    find = partial(_forgotten, settings)
    for directory in await trio.to_thread.run_sync(find, abandon_on_cancel=True):
        with log.about(directory.name):
            marker = supervisor_marker.entry(directory)
            await end_orphans(marker, [], how=signal.SIGTERM, timeout=STOP_TIMEOUT)


def _forgotten(settings: Settings) -> Sequence[Path]:
    """The state directories of all sites that are not in the settings."""
    top = settings.state.directory
    found = {top}
    with suppress(OSError):
        found |= {path for path in of_site(top, "x").parent.iterdir() if path.is_dir()}
    return sorted(found - {site.state_directory for site in settings.sites})
