"""Readiness: whether a load balancer should send requests here.

A balancer asks about the machine, or about one site. A machine serves many sites, and one that is
down is no reason to take the others out of service. So a machine is ready unless it is stopping,
serves no site at all, or has started and does not serve all the sites yet that it served before.
"""

import trio

from blue_green.site.site import Site
from blue_green.site.sites import STARTING, Sites

STOPPING = "The server is stopping."
MAX_LINES = 20
"""Sites that are named as not ready."""
MAX_TEXT = 200
"""Characters of the reason, if there may be many."""
MAX_WAIT = 0.5
"""Seconds that a request at the start waits for the sites to be known. Balancers wait longer."""
INTERVAL = 0.01


def why_not_ready(site: Site) -> str:
    """Why a load balancer should send the site's requests elsewhere; empty if it is ready.

    A site that holds requests is ready as long as they will be answered.
    """
    if site.is_stopping:
        return STOPPING
    if site.gate.why_down:
        return site.gate.why_down
    if site.slots.live is None:
        return "No release is live yet."
    return ""


class Readiness:
    """Answers whether the machine, or a site, is ready, and says which sites are not."""

    def __init__(self, sites: Sites) -> None:
        self._sites = sites
        self._has_started = False
        """All sites that were served before the start are served again, or have failed."""

    async def until_known(self) -> None:
        """Wait a moment for sites of which nothing is known yet.

        After an upgrade in place, they are known, and ready, within milliseconds.
        """
        with trio.move_on_after(MAX_WAIT):
            while STARTING in self._sites.not_running.values():
                await trio.sleep(INTERVAL)

    def of_machine(self) -> tuple[bool, str]:
        """Whether the machine is ready, and a line for each site that is not."""
        sites = self._sites
        if sites.is_stopping:
            return False, f"{STOPPING}\n"
        if sites.is_single and (only := sites.only):
            return _of(why_not_ready(only))
        unready = self._unready()
        is_any_ready = any(site.name not in unready for site in sites)
        self._has_started |= (
            not any(map(_is_coming_back, sites)) and STARTING not in unready.values()
        )
        return _listed(unready, is_ready=is_any_ready and self._has_started)

    def of_every_site(self) -> tuple[bool, str]:
        """Whether every site is ready, and a line for each that is not."""
        unready = self._unready()
        return _listed(unready, is_ready=not unready)

    def of_site(self, name: str) -> tuple[bool, str] | None:
        """Whether this site is ready, or else why not; None if there is no such site."""
        if site := self._sites.get(name):
            return _of(why_not_ready(site))
        why_not = self._sites.not_running.get(name)
        return _of(why_not) if why_not else None

    def _unready(self) -> dict[str, str]:
        found = {site.name: why for site in self._sites if (why := why_not_ready(site))}
        return {**found, **self._sites.not_running}


def _is_coming_back(site: Site) -> bool:
    """Whether the release that was live before a restart is yet to be started."""
    return site.slots.live is None and site.state.live is not None and not site.gate.why_down


def _of(why_not: str) -> tuple[bool, str]:
    return not why_not, f"{why_not or 'ready'}\n"


def _listed(unready: dict[str, str], *, is_ready: bool) -> tuple[bool, str]:
    lines = [f"{name}: {' '.join(why[:MAX_TEXT].split())}\n" for name, why in unready.items()]
    if (more := len(lines) - MAX_LINES) > 0:
        lines[MAX_LINES:] = [f"and {more} more\n"]
    return is_ready, "".join(["ready\n" if is_ready else "not ready\n", *lines])
