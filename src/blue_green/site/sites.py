"""The running sites of the process, by name."""

from collections.abc import Iterator

from blue_green.config.settings import Settings
from blue_green.proxy.served_site import ServedSite
from blue_green.routing.router import Router, routes_of
from blue_green.site.site import Site


class Sites:
    """All running sites, in the order of the settings."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        """The settings in force, of the process and of all sites."""
        self.is_stopping = False
        """The service is stopping."""
        self.broken: dict[str, str] = {}
        """Why each site that could not be started does not run, by name."""
        self._by_name: dict[str, Site] = {}

    @property
    def is_single(self) -> bool:
        """Whether there is one site whose name nobody needs (see `Settings.is_single`)."""
        return self.settings.is_single

    @property
    def only(self) -> Site | None:
        """The site, if there is just one."""
        sites = list(self)
        return sites[0] if len(sites) == 1 else None

    def get(self, name: str) -> Site | None:
        return self._by_name.get(name)

    def add(self, site: Site) -> None:
        self._by_name[site.name] = site
        site.siblings = self

    def remove(self, site: Site) -> None:
        del self._by_name[site.name]

    def router(self) -> Router[ServedSite]:
        """The routing table for the sites as they are now."""
        for site in self:
            site.served.name = "" if self.is_single else site.name
        return Router(
            route for site in self for route in routes_of(site.served, site.settings.serving.hosts)
        )

    def stop(self) -> None:
        """Note that the service is stopping: what ends now has not crashed."""
        self.is_stopping = True
        for site in self:
            site.is_stopping = True

    def __iter__(self) -> Iterator[Site]:
        return iter(list(self._by_name.values()))

    def __len__(self) -> int:
        return len(self._by_name)
