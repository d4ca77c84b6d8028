"""The settings file, read again, checked as a whole, and put in force as far as can be live.

If anything is wrong with it, all of that is told and nothing changes. Parts are given their new
settings in one place, at one moment, and read them when they use them.
"""

import logging
from collections.abc import Sequence
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
from blue_green.supervisor import settings_file, startup
from blue_green.system import systemd

logger = logging.getLogger(__name__)


class Reload:
    """Reads the file again, and gives the parts what is new in it."""

    def __init__(self, file: Path, site: Site, listener: Listener) -> None:
        self._file = file
        self._site = site
        self._listener = listener
        self._asked = trio.Event()
        self._lock = trio.Lock()

    def ask(self) -> None:
        """Have it done soon, by `run`."""
        self._asked.set()

    async def run(self) -> None:
        """Reload whenever somebody has asked for it, until cancelled."""
        while True:
            await self._asked.wait()
            self._asked = trio.Event()
            with suppress(ConfigError):  # The log has it, and nobody waits to be told.
                await self.reload()

    async def reload(self) -> Sequence[Change]:
        """Read the file and put it in force; what that changes.

        Raises `ConfigError`, and then nothing has changed. The log tells of it, too, and
        systemd of its beginning and its end (sd_notify(3)).
        """
        async with self._lock:
            systemd.notify_reloading()
            try:
                return await self._reload()
            except ConfigError as error:
                logger.error("the settings stay as they were, for these are wrong:\n%s", error)
                raise
            finally:
                systemd.notify("READY=1")

    async def _reload(self) -> Sequence[Change]:
        old = self._site.settings
        read = partial(_read, self._file, old)
        # A thread, since disks may be slow; and reading is soon over, or of no use any more.
        new, pages = await trio.to_thread.run_sync(read, abandon_on_cancel=True)
        found = changes(old, new)
        self._put_in_force(in_force(old, new), pages)
        self._site.needs_restart = [change for change in found if change.effect is Effect.RESTART]
        logger.info("%s was read again%s", self._file, "" if found else ": nothing has changed")
        for change in found:
            logger.info("    %s", change_text.change(change.as_dict()))
        return found

    def _put_in_force(self, settings: Settings, pages: ErrorPages) -> None:
        self._site.use(settings)
        self._listener.use(settings.proxy, pages)


def _read(file: Path, old: Settings) -> tuple[Settings, ErrorPages]:
    """The settings in the file, and the error pages that they name; raise `ConfigError`.

    All must be as it must be at a start, and also fit with what only a restart changes.
    """
    new = settings_file.load(file)
    problems = []
    pages = ErrorPages()
    try:
        startup.whom_to_run_as(new)
        startup.warn_root(new)
        startup.check_trust(file, new)
        startup.check_secret(new)
    except startup.CannotRun as error:
        problems.append(str(error))
    try:
        pages = ErrorPages(new.proxy.error_pages)
    except BadPages as error:
        problems.append(f"{file}: [proxy] error_pages: {error}")
    for problem in contradictions(in_force(old, new)):
        # The app is to have the port that the proxy would leave only then, for example.
        problems.append(f"{file}: {problem} (until a restart, which some of the changes need)")
    if problems:
        raise ConfigError(problems)
    return startup.within_file_limit(new), pages
