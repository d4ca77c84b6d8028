"""Restore a site at start-up: end the orphans of an earlier supervisor, start the last release.

That needs neither the network nor a build, unless the release is lost. HEAD is looked at later.
"""

import logging
from typing import TYPE_CHECKING

from blue_green.site import ended_trial
from blue_green.site.orphans import end_orphans
from blue_green.site.state import Live
from blue_green.source import stray_scan
from blue_green.source.failure import MachineFault
from blue_green.source.git_errors import GitError
from blue_green.system import procfs, supervisor_marker, threads

if TYPE_CHECKING:
    from blue_green.site.site import Site

logger = logging.getLogger(__name__)


async def last_release(site: "Site") -> None:
    """Make the last release live, unless an upgrade in place has left it running."""
    ended_trial.report(site)
    await _end_orphans(site)
    await _prune(site)
    if site.slots.live is None:
        await _serve(site)


async def _end_orphans(site: "Site") -> None:
    state, slots, settings = site.state, site.slots, site.settings
    remembered = state.backends if state.boot == procfs.boot_id() else []
    await end_orphans(
        supervisor_marker.entry(settings.state_directory),
        remembered,
        how=settings.app.stop_signal,
        timeout=settings.app.stop_timeout,
        ours=[
            *(backend.process for backend in slots.backends),
            *(running.process for running in site.processes.running),
        ],
    )


async def _prune(site: "Site") -> None:
    live, releases = site.state.live, site.releases
    in_use = {site.state.previous, live.revision if live else await releases.last_promoted()}
    try:
        await threads.run(releases.create_directories)
        used = {revision for revision in in_use if revision}
        await releases.pruning.prune(used, site.slots.release_paths, seconds=stray_scan.MAX_SECONDS)
        await site.files.restore()
    except (GitError, OSError) as error:
        logger.warning("cannot remove old releases: %s", error)


async def _serve(site: "Site") -> None:
    state, slots, live = site.state, site.slots, site.state.live
    release = await site.releases.last_good(live.revision if live else None)
    if release is None:
        return
    if live is None or live.revision != release.revision:  # The state or the release was lost.
        live = state.live = Live("blue", release.revision)
        state.head = None
    if not site.sleep.was_asleep:
        logger.info("starting %s, which was live before", live.revision[:7])
    slot = slots.by_name(live.slot)
    try:
        await slot.assign(release, site.settings)
    except MachineFault as fault:
        logger.error("cannot start %s: %s", live.revision[:7], fault)
        return
    if site.sleep.was_asleep:
        slots.go_live(slot, asleep=True)
        site.processes.supervise()
        site.show("Asleep")
        logger.info("%s is asleep in %s", live.revision[:7], slot.name)
        return
    slots.go_live(slot)
    slot.supervise()
    await slot.until_settled()
    if slot.is_static or slot.targets:
        site.show(f"Serving {live.revision[:7]} in {slot.name}")
        logger.info("%s is live again in %s", live.revision[:7], slot.name)
