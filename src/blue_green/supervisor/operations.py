"""The commands of a running supervisor, by name; those to a site are in `site_commands`."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import trio

from blue_green.config.error import ConfigError
from blue_green.control.server import Operation, Refusal, Selector, Send, SiteRequest
from blue_green.site.broken_site import BrokenSite
from blue_green.site.site import Site
from blue_green.site.sites import Sites
from blue_green.supervisor import overview, receive_push, site_commands
from blue_green.supervisor.find_site import in_directory
from blue_green.supervisor.maintenance_command import MaintenanceArguments, maintenance
from blue_green.supervisor.no_arguments import NoArguments
from blue_green.supervisor.public_urls import urls
from blue_green.supervisor.receive_push import PushArguments
from blue_green.supervisor.reload import Reload
from blue_green.supervisor.site_commands import SiteCommand
from blue_green.supervisor.upgrade import Upgrade
from blue_green.system import log, threads

FIND_TIMEOUT = 5.0
FIND_AT_ONCE = 4
"""Seconds for finding the site of a directory, and threads for it: file systems may hang."""


class Operations:
    """Carries out commands."""

    def __init__(self, sites: Sites, reload: Reload, upgrade: Upgrade) -> None:
        self._sites = sites
        self._reload = reload
        self._upgrade = upgrade
        self._finding = trio.CapacityLimiter(FIND_AT_ONCE)

    @property
    def commands(self) -> Mapping[str, Operation]:
        to_sites = {
            name: Operation(command.arguments, partial(self._at_site, command), is_of_site=True)
            for name, command in site_commands.COMMANDS.items()
        }
        return {
            **to_sites,
            "status": Operation(NoArguments, self.status, is_of_site=True),
            "maintenance": Operation(MaintenanceArguments, self.maintenance, is_of_site=True),
            "push": Operation(PushArguments, self.push),
            "upgrade": Operation(NoArguments, self.upgrade),
            "reload": Operation(NoArguments, self.reload),
        }

    async def status(self, request: SiteRequest, _: Send) -> dict[str, Any]:
        """The status of the site that is named, or of all if there are several."""
        if request.selector.site is None and not self._sites.is_single:
            return await overview.of_all(self._sites)
        if (name := request.selector.site) and (why := self._sites.not_running.get(name)):
            return overview.of_not_running(self._sites, name, why)
        site = await self._find(request.selector)
        return site.status.as_dict()

    async def maintenance(self, request: SiteRequest, _: Send) -> dict[str, Any]:
        broken = self._sites.get_broken(request.selector.site or "")
        site = broken or await self._find(request.selector, or_all=True)
        with log.about(self._sites.label(site.name)), threads.limited_by(site.threads):
            result = await maintenance(site, self._sites.settings.proxy, request.arguments)
            return result | (await _saved(site) if request.arguments.do != "show" else {})

    async def reload(self, _: NoArguments, __: Send) -> dict[str, Any]:
        try:
            changes = await self._reload.reload()
        except ConfigError as error:
            raise Refusal(str(error), usage=True) from None
        return {"changes": [change.as_dict() for change in changes]}

    async def push(self, push: PushArguments, send: Send) -> dict[str, Any]:
        """Deploy a push to a checkout, by all sites that have it; whether git may accept it."""
        sites = await self._in_directory(push.checkout)
        if not sites:
            note = f"no site that runs has the checkout {push.checkout}: nothing is deployed now"
            await send({"event": "note", "site": "", "text": note})
        is_accepted = False
        try:
            for site in sites:
                with log.about(self._sites.label(site.name)), threads.limited_by(site.threads):
                    if not await receive_push.receive(site, push, send):
                        return {"is_accepted": False}
            is_accepted = True
        finally:
            if not is_accepted:
                for site in sites:
                    site.pushes.refused(push.new)
        return {"is_accepted": True}

    async def upgrade(self, _: NoArguments, send: Send) -> dict[str, Any]:
        """Upgrade in place. The client then asks the new program for its version."""
        await self._upgrade.upgrade(send)
        raise AssertionError("the new program runs in this process")

    async def _at_site(
        self, command: SiteCommand, request: SiteRequest, send: Send
    ) -> dict[str, Any]:
        site = await self._find(request.selector)
        with log.about(self._sites.label(site.name)), threads.limited_by(site.threads):
            result = await command.handle(site, request.arguments, send)
            if command.is_remembered:
                result |= await _saved(site)
        if path := result.pop("link", ""):
            result["links"] = urls(site.settings, self._sites.settings.proxy, path)
        return result

    async def _find(self, selector: Selector, *, or_all: bool = False) -> Site:
        """The site that a request is for; raise `Refusal`. `or_all`: the command has `--all`."""
        if selector.site is not None:
            return self._named(selector.site)
        if (only := self._sites.only) is not None:
            return only
        directory = selector.directory
        found = await self._in_directory(directory) if directory is not None else []
        if len(found) == 1:
            return found[0]
        names = ", ".join(site.name for site in found or self._sites)
        how = "--site, or all with --all" if or_all else "--site"
        raise Refusal(f"name the site with {how}: {names or 'there are none'}", usage=True)

    async def _in_directory(self, directory: str) -> Sequence[Site]:
        """The sites whose checkout contains it."""
        look = partial(in_directory, directory, list(self._sites))
        with trio.move_on_after(FIND_TIMEOUT), threads.limited_by(self._finding):
            return await threads.run(look, abandon_on_cancel=True)
        return ()

    def _named(self, name: str) -> Site:
        if (site := self._sites.get(name)) is not None:
            return site
        if (why := self._sites.not_running.get(name)) is not None:
            raise Refusal(f"{name} does not run: {why}")
        names = ", ".join(site.name for site in self._sites)
        raise Refusal(f"there is no site {name}; there are: {names or 'none'}", usage=True)


async def _saved(site: Site | BrokenSite) -> dict[str, str]:
    """Write what a command has changed, so that a restart does not forget what we report now.

    The result then has `unsaved`: why that has failed, if it has.
    """
    await site.save()
    return {"unsaved": site.state_file.problem} if site.state_file.problem else {}
