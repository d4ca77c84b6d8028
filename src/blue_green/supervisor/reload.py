"""Reload of the settings file.

The file is read and checked as a whole. If it has mistakes, all of them are reported and nothing
changes. Otherwise the new settings take effect at one moment, except those that need a restart.
"""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import trio

from blue_green.config import change_text
from blue_green.config.changes import Change, changes, in_force
from blue_green.config.contradictions import contradictions
from blue_green.config.effects import Effect
from blue_green.config.error import ConfigError
from blue_green.config.settings import Settings
from blue_green.http.errors import ErrorPages
from blue_green.http.own_pages import BadPages
from blue_green.proxy.listener import Listener
from blue_green.site.site import Site
from blue_green.site.sites import Sites
from blue_green.supervisor import settings_file, startup
from blue_green.system import systemd

logger = logging.getLogger(__name__)

PagesByDirectory = Mapping[Path | None, ErrorPages]


class Reload:
    """Reads the file again, and puts its changes in force."""

    def __init__(self, file: Path, sites: Sites, site: Site, listener: Listener) -> None:
        self._file = file
        self._sites = sites
        self._site = site
        self._listener = listener
        self._lock = trio.Lock()

    async def reload_for_signal(self) -> None:
        """Reload; mistakes are only logged, since no client waits."""
        with suppress(ConfigError):
            await self.reload()

    async def reload(self) -> Sequence[Change]:
        """Read the file and put it in force; the changes.

        Raises `ConfigError` if nothing has changed. Logs the result, and notifies systemd at the
        beginning and at the end (sd_notify(3)).
        """
        async with self._lock:
            systemd.notify_reloading()
            try:
                return await self._reload()
            except ConfigError as error:
                logger.error("not reloaded, the settings file has mistakes:\n%s", error)
                raise
            finally:
                systemd.notify("READY=1")

    async def _reload(self) -> Sequence[Change]:
        old = self._sites.settings
        read = partial(_read, self._file, old)
        # In a thread, since disks may be slow.
        new, pages = await trio.to_thread.run_sync(read, abandon_on_cancel=True)
        found = changes(old, new)
        self._put_in_force(in_force(old, new), pages)
        self._site.needs_restart = [change for change in found if change.effect is Effect.RESTART]
        logger.info("reloaded %s%s", self._file, "" if found else ": nothing has changed")
        for change in found:
            logger.info("    %s", change_text.change(change.as_dict()))
        return found

    def _put_in_force(self, settings: Settings, pages: PagesByDirectory) -> None:
        self._sites.settings = settings
        for site, of_site in zip(self._sites, settings.sites, strict=True):
            site.use(of_site, pages[of_site.serving.error_pages])
        self._listener.use(settings.proxy, pages[settings.proxy.error_pages], self._sites.router())


def _read(file: Path, old: Settings) -> tuple[Settings, PagesByDirectory]:
    """Read the settings and the error pages that they name; raise `ConfigError`.

    The checks are those of a start. Besides, the settings must be consistent with those in force
    that only a restart changes.
    """
    new = settings_file.load(file)
    problems = []
    pages: dict[Path | None, ErrorPages] = {}
    try:
        for site in new.sites:
            startup.users_to_run_as(site)
            startup.check_secret(site)
        startup.warn_root(new)
        startup.check_trust(file, new)
    except startup.CannotRun as error:
        problems.append(str(error))
    named = {site.serving.error_pages: "error_pages" for site in new.sites}
    named[new.proxy.error_pages] = "[proxy] error_pages"
    for directory, key in named.items():
        try:
            pages[directory] = ErrorPages(directory)
        except BadPages as error:
            problems.append(f"{file}: {key}: {error}")
    for problem in contradictions(in_force(old, new)):
        # For example, the app may get a port that the proxy leaves only at a restart.
        problems.append(f"{problem.text} (until a restart, which some of the changes need)")
    if problems:
        raise ConfigError(problems)
    return startup.within_file_limit(new), pages
