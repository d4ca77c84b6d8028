"""Run all sites of the process, which a reload adds and removes."""

from collections.abc import Mapping, Sequence

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
        self._leaving: list[SiteRunner] = []
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

    def get(self, name: str) -> SiteRunner:
        return self._by_name[name]

    def add(self, settings: SiteSettings) -> None:
        """Run another site, as soon as one of its name that was removed has ended."""
        assert self._nursery is not None
        runner = SiteRunner(settings, self._sites, self._builds)
        self._by_name[settings.name] = runner
        before = [one for one in self._leaving if one.settings.name == settings.name]
        self._nursery.start_soon(self._run_after, runner, before)

    def remove(self, name: str) -> None:
        """Finish and stop a site, in the background. New requests no longer reach it."""
        assert self._nursery is not None
        runner = self._by_name.pop(name)
        self._sites.forget(name)
        self._leaving.append(runner)
        self._nursery.start_soon(self._retire, runner)

    async def until_removed(self) -> None:
        """Wait until the sites that were removed have ended."""
        for runner in list(self._leaving):
            await runner.ended.wait()

    def kill_removed(self) -> None:
        """Kill what runs of sites that were removed, so that they end at once."""
        for runner in self._leaving:
            runner.kill()

    async def stop_deploying(self) -> None:
        """End the swaps and watches of all sites."""
        async with trio.open_nursery() as nursery:
            for runner in self._by_name.values():
                nursery.start_soon(runner.stop_deploying)

    async def end(self) -> None:
        """End all sites, whose backends have stopped, and wait for those that were removed."""
        for runner in self._by_name.values():
            await runner.end()
        await self.until_removed()

    async def _run_after(self, runner: SiteRunner, before: Sequence[SiteRunner]) -> None:
        for other in before:
            await other.ended.wait()
        await runner.run()

    async def _retire(self, runner: SiteRunner) -> None:
        await runner.retire()
        self._leaving.remove(runner)
