"""Readiness: whether a load balancer should send requests here.

A balancer asks about the machine, or about one site. The machine serves many sites, and one of them
that is down is no reason to take the others from their users. So the machine is ready unless it
stops, serves no site at all, or still brings back a release that it served before a restart.
"""

from collections.abc import Iterator

from blue_green.site.site import Site
from blue_green.site.sites import Sites

EVERY = "*"
"""Instead of a site's name: ready only if every site is."""
MAX_LINES = 20
"""Sites that are named as not ready."""


def why_not_ready(site: Site) -> str:
    """Why a load balancer should send the site's requests elsewhere; empty if it is ready.

    A site that holds requests is ready as long as they will be answered.
    """
    if site.is_stopping:
        return "The server is stopping."
    if site.gate.why_down:
        return site.gate.why_down
    if site.slots.live is None:
        return "No release is live yet."
    return ""


def readiness(sites: Sites, *, of_every: bool = False) -> tuple[bool, str]:
    """Whether the machine is ready, and which sites are not, one per line.

    With `of_every`, it is ready only if each site is.
    """
    if sites.is_stopping:
        return False, "The server is stopping.\n"
    if sites.is_single and (only := sites.only):
        why_not = why_not_ready(only)
        return not why_not, f"{why_not or 'ready'}\n"
    unready = dict(_unready(sites))
    lines = [f"{name}: {why}\n" for name, why in unready.items()]
    if (more := len(lines) - MAX_LINES) > 0:
        lines[MAX_LINES:] = [f"and {more} more\n"]
    is_ready = not unready if of_every else _serves(sites, unready)
    return is_ready, "".join(["ready\n" if is_ready else "not ready\n", *lines])


def _unready(sites: Sites) -> Iterator[tuple[str, str]]:
    for site in sites:
        if why_not := why_not_ready(site):
            yield site.name, why_not
    yield from sites.broken.items()


def _serves(sites: Sites, unready: dict[str, str]) -> bool:
    """Whether any site is served, and none will soon be again."""
    is_any_ready = any(site.name not in unready for site in sites)
    return is_any_ready and not any(map(_is_coming_back, sites))


def _is_coming_back(site: Site) -> bool:
    """Whether the release that was live before a restart is being started."""
    return site.slots.live is None and site.state.live is not None and not site.gate.why_down
