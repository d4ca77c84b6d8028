"""The ports that a site must not choose: of other sites, and in settings of other supervisors."""

from collections.abc import Collection
from typing import TYPE_CHECKING

import trio

from blue_green.config.common import ports_of
from blue_green.system import other_sites, threads

if TYPE_CHECKING:
    from blue_green.site.site import Site
    from blue_green.site.sites import Sites

VALID_FOR = 10.0
"""Seconds for which what other settings name is remembered: many sites may start at once."""

FIND_TIMEOUT = 10.0
"""Seconds for reading them: a file system may hang."""


class TakenPorts:
    """Knows the ports of all sites of the process, and finds those of other supervisors."""

    def __init__(self, sites: "Sites") -> None:
        self._sites = sites
        self._lock = trio.Lock()
        self._elsewhere: Collection[int] = ()
        self._valid_until = 0.0

    def of_others(self, site: "Site") -> set[int]:
        """The ports that other sites have, remember, or name in the settings."""
        settings = self._sites.settings
        named = (ports_of(other) for other in settings.sites if other.name != site.name)
        had = (other.ports for other in self._sites if other is not site)
        return {port for ports in (*named, *had) for port in ports}

    async def named_elsewhere(self) -> Collection[int]:
        """The ports in the settings of other supervisors, as far as these can be found."""
        async with self._lock:
            if trio.current_time() >= self._valid_until:
                file = self._sites.settings.place.file
                with trio.move_on_after(FIND_TIMEOUT):
                    others = await threads.run(other_sites.of, file, abandon_on_cancel=True)
                    self._elsewhere = {port for other in others for port in other.ports}
                self._valid_until = trio.current_time() + VALID_FOR
            return self._elsewhere
