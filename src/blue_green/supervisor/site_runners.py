"""Run all sites of the process, which a reload adds and removes."""

from collections.abc import Mapping

import trio

from blue_green.config.settings import Settings, SiteSettings
from blue_green.site.build_limit import BuildLimit
from blue_green.site.sites import Sites
from blue_green.supervisor.site_runner import SiteRunner
from blue_green.system.handover import HandedRelease


class SiteRunners:
    """Starts, changes, removes and ends sites. `run` is their owner."""

    def __init__(self, sites: Sites, handed: Mapping[str, HandedRelease]) -> None:
        """`handed` are the live releases from before an upgrade in place, by site."""
        self._sites = sites
        self._builds = BuildLimit(sites.settings.build.at_once)
        self._by_name = {
            site.name: SiteRunner(site, sites, self._builds, handed.get(site.name))
            for site in sites.settings.sites
        }
        self._leaving: dict[str, trio.Event] = {}
        """Sites that were removed and have not ended yet."""
        self._nursery: trio.Nursery | None = None

    async def make_single(self) -> None:
        """Make the site, if there is a single one; raise `CannotRun`."""
        if self._sites.is_single:
            for runner in self._by_name.values():
                await runner.make()

    async def run(self) -> None:
        """Run all sites until each has ended."""
        async with trio.open_nursery() as self._nursery:
            for runner in self._by_name.values():
                self._nursery.start_soon(runner.run)
            await trio.sleep_forever()

    def use(self, settings: Settings) -> None:
        """Let so many builds run at once as these settings say."""
        self._builds.use(settings.build.at_once)

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def get(self, name: str) -> SiteRunner:
        return self._by_name[name]

    def add(self, settings: SiteSettings) -> None:
        """Run another site, as soon as one of its name that was removed has ended."""
        assert self._nursery is not None
        runner = SiteRunner(settings, self._sites, self._builds)
        self._by_name[settings.name] = runner
        self._nursery.start_soon(self._run_after, runner, self._leaving.get(settings.name))

    def remove(self, name: str) -> None:
        """Finish and stop a site, in the background. New requests no longer reach it."""
        assert self._nursery is not None
        runner = self._by_name.pop(name)
        self._sites.forget(name)
        self._leaving[name] = ended = trio.Event()
        self._nursery.start_soon(self._retire, runner, ended)

    async def stop_deploying(self) -> None:
        """End the swaps and watches of all sites."""
        async with trio.open_nursery() as nursery:
            for runner in self._by_name.values():
                nursery.start_soon(runner.stop_deploying)

    async def end(self) -> None:
        """End all sites, whose backends have stopped, and wait for those that were removed."""
        for runner in self._by_name.values():
            await runner.end()
        for ended in list(self._leaving.values()):
            await ended.wait()

    async def _run_after(self, runner: SiteRunner, before: trio.Event | None) -> None:
        if before is not None:
            await before.wait()
        await runner.run()

    async def _retire(self, runner: SiteRunner, ended: trio.Event) -> None:
        name = runner.settings.name
        await runner.retire()
        ended.set()
        if self._leaving.get(name) is ended:
            del self._leaving[name]
