"""What is left of a site that cannot run: what its state remembers, and its maintenance."""

import trio

from blue_green.config.settings import SiteSettings
from blue_green.proxy.served_site import ServedSite
from blue_green.site.maintenance import SiteMaintenance
from blue_green.site.state import State
from blue_green.site.state_file import STATE_FILE, StateFile


class BrokenSite:
    """Answers with the page of a maintenance, which can begin, change and end meanwhile."""

    def __init__(
        self,
        settings: SiteSettings,
        served: ServedSite,
        state: State,
        threads: trio.CapacityLimiter,
    ) -> None:
        self.name = settings.name
        self.settings = settings
        self.state = state
        self.threads = threads
        self.state_file = StateFile(settings.state_directory / STATE_FILE)
        self.maintenance = SiteMaintenance(served, state, self.state_file)

    async def save(self) -> None:
        """Write the state now, so that the next start remembers what is reported next."""
        await self.state_file.write(self.state)
