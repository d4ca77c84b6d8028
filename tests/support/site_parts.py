"""The real parts of sites in the test's own process, with nothing in them yet."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import trio

from blue_green.config import parsing
from blue_green.config.kinds import UrlPath
from blue_green.config.settings import SiteSettings
from blue_green.routing.client_limits import ClientLimits
from blue_green.site.broken_site import BrokenSite
from blue_green.site.candidate_trial import CandidateTrial
from blue_green.site.deploy_request import DeployRequest
from blue_green.site.site import Site, served_site
from blue_green.site.sites import Sites
from blue_green.site.state import State
from blue_green.site.swap import Swap
from blue_green.site.trial_plan import TrialPlan
from blue_green.site.trigger import Trigger
from blue_green.source.release import Release
from blue_green.system.users import owner_of
from tests.support.site import free_ports


def make_single(directory: Path, checkout: Path, **sections: Any) -> Sites:
    """A file with `[app]` at its top: one site. Its app ends soon, and never answers."""
    command = [sys.executable, "-c", "import time; time.sleep(0.3)"]
    app = {"name": "blog", "command": command, "ports": free_ports(2)}
    document = {"app": app, "state": {"directory": str(directory)}, **sections}
    settings = parsing.parse(document, checkout / "supervisor.toml")
    sites = Sites(attrs.evolve(settings, sites=()))
    add(sites, settings.sites[0], checkout)
    return sites


def make_several(directory: Path, checkout: Path, names: Sequence[str], **sections: Any) -> Sites:
    """Several sites that differ in nothing but their names."""
    sites = make_single(directory, checkout, **sections)
    [only] = sites
    remove(sites, only)
    sites.settings = attrs.evolve(sites.settings, is_single=False)
    for name in names:
        add(sites, named(only.settings, name), checkout)
    return sites


def named(settings: SiteSettings, name: str) -> SiteSettings:
    """The same settings under another name."""
    return attrs.evolve(
        settings,
        name=name,
        state_directory=settings.state_directory / "sites" / name,
        app=attrs.evolve(settings.app, name=name),
        webhook=attrs.evolve(settings.webhook, path=UrlPath(f"/hook/{name}")),
    )


def serving(settings: SiteSettings, **values: Any) -> SiteSettings:
    """The same site with other hosts or limits."""
    return attrs.evolve(settings, serving=attrs.evolve(settings.serving, **values))


def add(sites: Sites, settings: SiteSettings, checkout: Path) -> Site:
    """Add a site with these settings."""
    us = owner_of(checkout)
    site = Site(settings, owner=us, user=us)
    site.releases.create_directories()
    use(sites, [*sites.settings.sites, settings])
    sites.add(site)
    return site


def broken(settings: SiteSettings, name: str) -> BrokenSite:
    """What is left of a site with these settings, if it cannot run."""
    settings = named(settings, name)
    return BrokenSite(settings, served_site(settings), State(), trio.CapacityLimiter(1))


def remove(sites: Sites, site: Site) -> None:
    """Remove a site, as a reload does."""
    use(sites, [settings for settings in sites.settings.sites if settings.name != site.name])
    sites.remove(site)
    sites.forget(site.name)


def use(sites: Sites, settings: Sequence[SiteSettings]) -> None:
    """Let these be the sites in the settings, whether they run or not."""
    sites.settings = attrs.evolve(sites.settings, sites=tuple(settings))


def go_live(site: Site) -> None:
    """Make a release live, though nothing runs in it."""
    slot = site.slots.blue
    slot.release = Release("a" * 40, site.settings.git.checkout)
    site.slots.go_live(slot)


def put_on_trial(site: Site, plan: TrialPlan, revision: str = "b" * 40) -> CandidateTrial:
    """Let a swap be at this trial, as far as can be seen: no request goes there."""
    swap = Swap(site, DeployRequest(revision, Trigger.SWAP, plan=plan), lambda _: None)
    swap.candidate, swap.phase = site.slots.green, plan.kind
    site.slots.green.release = Release(revision, site.settings.git.checkout)
    slots, limits = site.slots, ClientLimits()
    swap.trial = CandidateTrial(swap, plan, slots.green, slots.blue, limits)
    site.queue.current = swap
    return swap.trial
