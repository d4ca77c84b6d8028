"""The sites of the process, by name: those that run, and those that cannot."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from blue_green.config.changes import Change
from blue_green.config.settings import Settings, SiteSettings
from blue_green.proxy.served_site import ServedSite
from blue_green.routing.router import Router, routes_of
from blue_green.site.broken_site import BrokenSite
from blue_green.site.site import Site, served_site
from blue_green.site.site_certificates import OfSite
from blue_green.site.taken_ports import TakenPorts
from blue_green.source.watch import POLL_INTERVAL, POLLS_PER_SECOND

STARTING = "The site is starting."


class Sites:
    """All sites. The running ones are iterated over, in the order of the settings."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        """The settings in force, of the process and of all sites."""
        self.addresses = ""
        """The addresses on which they are served, in words."""
        self.began = datetime.now(UTC)
        self.is_stopping = False
        """The service is stopping."""
        self.needs_restart: Sequence[Change] = ()
        """Changes in the settings of the process that take effect only after a restart."""
        self.broken: dict[str, str] = {}
        """Why a site cannot run, by its name."""
        self._broken: dict[str, BrokenSite] = {}
        """What is left of those of them whose settings have no mistakes."""
        self._certificates: OfSite | None = None
        self._running: dict[str, Site] = {}
        self._taken_ports = TakenPorts(self)
        self._served: dict[str, ServedSite] = {}

    @property
    def is_single(self) -> bool:
        """Whether there is one site whose name nobody needs (see `Settings.is_single`)."""
        return self.settings.is_single

    @property
    def only(self) -> Site | None:
        """The site, if it runs and there is no other one, not even one that does not run."""
        sites = list(self)
        return sites[0] if len(sites) == 1 and not self.not_running else None

    @property
    def not_running(self) -> dict[str, str]:
        """Why each site that does not run does not, by its name: it is starting, or broken."""
        names = [site.name for site in self.settings.sites if site.name not in self._running]
        return {**dict.fromkeys(names, STARTING), **self.broken}

    def label(self, name: str) -> str:
        """The name of a site where it has to be said; "" where there is only one."""
        return "" if self.is_single else name

    def get(self, name: str) -> Site | None:
        return self._running.get(name)

    def get_broken(self, name: str) -> BrokenSite | None:
        """What is left of a site that cannot run; None if it runs, or nothing is known of it."""
        return self._broken.get(name)

    def served(self, settings: SiteSettings) -> ServedSite:
        """What the proxy needs for this site. Its requests wait there until the site runs."""
        name = settings.name
        if name not in self._served:
            self._served[name] = served_site(settings, self.label(name))
        return self._served[name]

    def router(self) -> Router[ServedSite]:
        """The routing table for the settings in force."""
        return Router(
            route
            for site in self.settings.sites
            for route in routes_of(
                self.served(site),
                site.serving.hosts,
                site.serving.paths,
                strip_path=site.serving.strip_path,
                redirect_hosts=site.serving.redirect_hosts,
            )
        )

    def use_addresses(self, addresses: str) -> None:
        """They are served on these addresses."""
        self.addresses = addresses
        for site in self:
            site.addresses = addresses

    def use_certificates(self, of_site: OfSite) -> None:
        """Their hosts have these certificates."""
        self._certificates = of_site
        for site in self:
            site.certificates.of_site = of_site

    def add(self, site: Site) -> None:
        """A site runs."""
        site.taken_ports = self._taken_ports
        site.certificates.of_site = self._certificates
        site.addresses = self.addresses
        site.supervisor_began = self.began
        site.is_stopping = self.is_stopping
        self._forget_broken(site.name)
        self._running[site.name] = site
        self._share_polls()

    def add_broken(self, name: str, why: str, site: BrokenSite | None) -> None:
        """A site cannot run."""
        self.broken[name] = why
        if site is not None:
            self._broken[name] = site

    def remove(self, site: Site) -> None:
        """A site does not run any more. Another one of its name may run already."""
        if self._running.get(site.name) is site:
            del self._running[site.name]
            self._share_polls()

    def _share_polls(self) -> None:
        """Let the watches of many sites poll less often."""
        for site in self._running.values():
            site.watch.poll_interval = max(POLL_INTERVAL, len(self._running) / POLLS_PER_SECOND)

    def forget(self, name: str) -> None:
        """A site is no longer in the settings. Its requests that have begun go on."""
        self._forget_broken(name)
        self._served.pop(name, None)

    def _forget_broken(self, name: str) -> None:
        self.broken.pop(name, None)
        self._broken.pop(name, None)

    def stop(self) -> None:
        """Note that the service is stopping: what ends now has not crashed."""
        self.is_stopping = True
        for site in self:
            site.is_stopping = True

    def __iter__(self) -> Iterator[Site]:
        running = (self._running.get(site.name) for site in self.settings.sites)
        return iter([site for site in running if site is not None])

    def __len__(self) -> int:
        return sum(1 for _ in self)
