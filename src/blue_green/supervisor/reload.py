"""Reload of the settings.

The files are read and checked as a whole. If they have mistakes, all of them are reported and
nothing changes. Otherwise the new settings take effect at one moment, except those that need a
restart: sites are added and removed, and the others use their new settings.
"""

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import trio
from attrs import define, evolve, field

from blue_green.certificates import file_pairs
from blue_green.certificates.certificates import Certificates
from blue_green.certificates.pem import BadCertificate
from blue_green.certificates.watched_pair import WatchedPair
from blue_green.config import change_text
from blue_green.config.changes import Change, changes, in_force
from blue_green.config.contradictions import contradictions
from blue_green.config.effects import Effect
from blue_green.config.error import ConfigError
from blue_green.config.settings import Settings, SiteSettings
from blue_green.control.server import Refusal
from blue_green.http.errors import ErrorPages
from blue_green.http.own_pages import BadPages
from blue_green.proxy.listener import Listener
from blue_green.site.sites import Sites
from blue_green.supervisor import settings_file, startup
from blue_green.supervisor.site_runners import SiteRunners
from blue_green.supervisor.startup import CannotRun
from blue_green.system import log, systemd, threads

logger = logging.getLogger(__name__)

READ_TIMEOUT = 60.0
"""Seconds for all files. A file system that hangs must not keep all reloads from happening."""
MAX_THREADS = 4
"""Some of them may hang for ever."""

NEEDS_RESTART = (
    "a reload cannot make these changes together: restart the supervisor, or run blue-green upgrade"
)

T = TypeVar("T")


@define
class Reading:
    """What was read from the files."""

    settings: Settings
    in_force: Settings
    """The settings that take effect now; some of the others need a restart."""
    begun_anew: set[str]
    """The sites that do not run, and begin with their new settings as if they had been added."""
    pages: dict[Path | None, ErrorPages] = field(factory=dict)
    """The error pages by their directory, without those that cannot be read."""
    pairs: dict[str, WatchedPair | None] = field(factory=dict)
    """The certificates of sites that have changed, by their names; None without own files."""


class Reload:
    """Reads the settings again, and puts their changes in force."""

    def __init__(
        self,
        file: Path,
        sites: Sites,
        runners: SiteRunners,
        listener: Listener,
        certificates: Certificates | None = None,
    ) -> None:
        self.lock = trio.Lock()
        """Held during a reload. Hold it to keep any reload from beginning."""
        self._file = file
        self._sites = sites
        self._runners = runners
        self._listener = listener
        self._certificates = certificates
        self._threads = trio.CapacityLimiter(MAX_THREADS)

    async def reload_for_signal(self) -> None:
        """Reload; mistakes are only logged, since no client waits."""
        with suppress(ConfigError):
            await self.reload()

    async def reload(self) -> Sequence[Change]:
        """Read the settings and put them in force; the changes.

        Raises `ConfigError` if nothing has changed. Logs the result, and notifies systemd at the
        beginning and at the end (sd_notify(3)).
        """
        async with self.lock:
            systemd.notify_reloading()
            try:
                return await self._reload()
            except ConfigError as error:
                logger.error("not reloaded, the settings have mistakes:\n%s", error)
                raise
            finally:
                systemd.notify("READY=1")

    async def check_same_sites(self) -> None:
        """Raise `Refusal` if the settings name other sites than those in force.

        Otherwise wait until those that were removed have ended: a new program would not know them.
        """
        # With the checks of a reload: a site that runs must not be broken after the upgrade.
        look = partial(_look, self._file, self._sites.settings, tuple(self._sites.broken))
        try:
            reading, problems = await self._read_files(look)
            if problems:
                raise ConfigError(problems)
            new = reading.settings
        except ConfigError as error:
            raise Refusal(str(error)) from None
        if new.is_single != self._sites.is_single:
            raise Refusal(
                "the settings change between one site and several: restart the service instead"
            )
        if _names(new) != _names(self._sites.settings):
            raise Refusal(
                "sites were added or removed in the settings: run blue-green reload first; if that "
                "is refused, restart the supervisor"
            )
        await self._runners.until_removed()

    async def _read_files(self, read: Callable[[], T]) -> T:
        """Read files in a thread, since disks may be slow; raise `ConfigError` if one hangs."""
        try:
            with trio.fail_after(READ_TIMEOUT), threads.limited_by(self._threads):
                return await threads.run(read, abandon_on_cancel=True)
        except trio.TooSlowError:
            raise ConfigError(
                [f"{self._file}: reading it, or what it names, has taken {READ_TIMEOUT:g} s"]
            ) from None

    async def _reload(self) -> Sequence[Change]:
        old = self._sites.settings
        read = partial(_read, self._file, old, tuple(self._sites.broken))
        reading = await self._read_files(read)
        found = [
            evolve(change, effect=Effect.NOW) if change.site in reading.begun_anew else change
            for change in changes(old, reading.settings)
        ]
        found += self._other_pages(reading, found)
        if reading.in_force is not old:  # The same if everything needs a restart.
            self._put_in_force(reading)
        self._note_restarts([change for change in found if change.effect is Effect.RESTART])
        logger.info("reloaded %s%s", self._file, "" if found else ": nothing has changed")
        for change in found:
            logger.info("    %s", change_text.change(change.as_dict()))
        return found

    def _other_pages(self, reading: Reading, found: Sequence[Change]) -> list[Change]:
        """The directories of error pages of which only the files have changed."""
        named = {change.new for change in found if change.key == "error_pages"}
        known = {site.name for site in self._sites.settings.sites}
        sites = [site for site in reading.in_force.sites if site.name in known]
        served = {site.serving.error_pages: self._sites.served(site).pages for site in sites}
        return [
            Change("error_pages", "", "", f"other files in {directory}", Effect.NOW)
            for directory, before in served.items()
            if directory in reading.pages and directory is not None and str(directory) not in named
            if not reading.pages[directory].has_same(before)
        ]

    def _put_in_force(self, reading: Reading) -> None:
        settings, pages = reading.in_force, reading.pages
        sites, runners = self._sites, self._runners
        before = {site.name for site in sites.settings.sites}
        after = {site.name for site in settings.sites} - reading.begun_anew
        sites.settings = settings
        sites.broken = {name: why for name, why in sites.broken.items() if name in before}
        runners.use(settings)
        for name in before - after:
            runners.remove(name)
        for site in settings.sites:
            if site.name in before & after:
                runners.get(site.name).use(site, pages.get(site.serving.error_pages))
            else:
                runners.add(site)
        own_pages = pages[settings.proxy.error_pages]
        proxy = startup.within_file_limit(settings)
        self._listener.use(proxy, own_pages, sites.router())
        sites.use_addresses(self._listener.addresses)
        if self._certificates is not None:
            self._certificates.use(settings, reading.pairs)

    def _note_restarts(self, found: Sequence[Change]) -> None:
        """Show in the status which changes need a restart, of the process and of each site."""
        is_single = self._sites.is_single
        self._sites.needs_restart = [change for change in found if change.site is None]
        for site in self._sites:
            site.needs_restart = [
                change for change in found if is_single or change.site == site.name
            ]


def _names(settings: Settings) -> list[str]:
    return sorted(site.name for site in settings.sites)


def _read(file: Path, old: Settings, broken: Collection[str]) -> Reading:
    """Read the settings, and the error pages that they name; raise `ConfigError`.

    The settings must be consistent with those in force that only a restart changes.
    """
    reading, problems = _look(file, old, broken)
    for problem in contradictions(reading.in_force):
        # For example, the app may get a port that the proxy leaves only at a restart.
        problems.append(f"{problem.text} ({NEEDS_RESTART})")
    if old.sites and not reading.settings.sites:
        # For example, include has a typing error, or its directory is on a disk that is gone.
        problems.append(f"{file}: no site is left; to stop all of them, stop the service")
    if problems:
        raise ConfigError(problems)
    return reading


def _look(file: Path, old: Settings, broken: Collection[str]) -> tuple[Reading, list[str]]:
    """Read the settings, and the error pages that they name; also the problems that were found.

    The checks are those of a start. A site that has not changed is not checked: if something that
    it uses is gone by now, that must not keep a change of another site from taking effect. Those
    that are `broken` take all their changes at once, since nothing of them runs.
    """
    new = settings_file.load(file)
    anew = {site.name for site in old.sites if site.name in broken and site not in new.sites}
    going_on = evolve(old, sites=tuple(site for site in old.sites if site.name not in anew))
    reading = Reading(new, in_force(going_on if anew else old, new), anew)
    changed = [site for site in new.sites if new.is_single or site not in old.sites]
    return reading, [
        *(problem for site in changed for problem in _problems_of_site(site, new)),
        *_problems_of_process(file, new),
        *_read_pages(file, changed, reading),
        *_load_pairs(changed, reading),
    ]


def _problems_of_site(site: SiteSettings, settings: Settings) -> Iterator[str]:
    name = "" if settings.is_single else site.name
    try:
        with log.about(name):
            startup.users_to_run_as(site)
            startup.warn_root(site)
            if name:
                startup.check_site_trust(site)
            startup.check_secret(site)
    except CannotRun as error:
        yield f"{site.place}: {error}" if name else str(error)


def _problems_of_process(file: Path, settings: Settings) -> Iterator[str]:
    try:
        startup.check_trust(file, settings)
    except CannotRun as error:
        yield str(error)


def _read_pages(file: Path, changed: Sequence[SiteSettings], reading: Reading) -> Iterator[str]:
    """Read the error pages. Yields the problems of the process and of sites that have changed."""
    new = reading.settings
    keys = {site.serving.error_pages: site.place.key("", "error_pages") for site in changed}
    keys[new.proxy.error_pages] = f"{file}: [proxy] error_pages"
    for directory in {site.serving.error_pages for site in new.sites} | keys.keys():
        try:
            reading.pages[directory] = ErrorPages(directory)
        except BadPages as error:
            if directory in keys:
                yield f"{keys[directory]}: {error}"
            else:
                logger.error("error_pages: the old pages stay in use: %s", error)


def _load_pairs(changed: Sequence[SiteSettings], reading: Reading) -> Iterator[str]:
    """Load the certificates of sites that have changed; yields the problems."""
    is_single = reading.settings.is_single
    for site in changed:
        try:
            reading.pairs[site.name] = file_pairs.load(site, is_single=is_single)
        except BadCertificate as error:
            yield str(error)
