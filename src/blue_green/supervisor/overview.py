"""The status of all sites as one object, for `blue-green status`."""

from typing import Any

import trio

from blue_green.site.sites import STARTING, Sites
from blue_green.site.status import of_supervisor

PER_SITE_ONLY = ("output", "last_swaps", "supervisor", "addresses")
"""Keys of a site's status that are long, or the same for all sites."""


def of_not_running(sites: Sites, name: str, why: str) -> dict[str, Any]:
    """The status of a site that does not run."""
    phase, broken = "starting" if why == STARTING else "broken", sites.get_broken(name)
    maintenance = broken.maintenance.as_dict() if broken else None
    return {"name": name, "phase": phase, "problem": why, "maintenance": maintenance}


async def of_all(sites: Sites) -> dict[str, Any]:
    """The status of each site by its name, also of those that do not run, and of the process."""
    # Before the first checkpoint: a site that begins to run meanwhile must not be left out.
    waiting = {name: of_not_running(sites, name, why) for name, why in sites.not_running.items()}
    shown: dict[str, Any] = {}
    for site in sites:
        status = site.status.as_dict()
        shown[site.name] = {key: status[key] for key in status if key not in PER_SITE_ONLY}
        await trio.lowlevel.checkpoint()
    return {
        "sites": {**shown, **waiting},
        "addresses": sites.addresses,
        "needs_restart": [change.as_dict() for change in sites.needs_restart],
        "supervisor": of_supervisor(sites.began),
    }
