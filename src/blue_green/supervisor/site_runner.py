"""Run one site: start it, try again if it cannot run, and stop it in order.

A site that cannot run, or that fails through an error of ours, affects no other one. While it does
not run, its requests are refused, and it is tried again. A process with a single site has nothing
else to serve, so there an error of ours ends the process, and the service manager restarts it.

Three nested nurseries define the order: the backends outlive the tasks that serve requests, and
these outlive the swaps and the watch, so that nothing changes while requests finish.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import trio

from blue_green.config.settings import SiteSettings
from blue_green.http.errors import ErrorPages
from blue_green.http.own_pages import BadPages
from blue_green.proxy import hsts
from blue_green.routing.lease import cut
from blue_green.site.broken_site import BrokenSite
from blue_green.site.build_limit import BuildLimit
from blue_green.site.draining import drain, requests_of
from blue_green.site.site import CheckoutUnusable, Site
from blue_green.site.sites import Sites
from blue_green.site.state import State
from blue_green.site.state_file import STATE_FILE, StateFile
from blue_green.supervisor import startup
from blue_green.supervisor.startup import CannotRun
from blue_green.system import log, threads
from blue_green.system.handover import HandedRelease
from blue_green.system.output import Output
from blue_green.system.printable import counted
from blue_green.system.users import User

logger = logging.getLogger(__name__)

RETRY_INTERVAL = 10.0
"""Seconds until the next attempt to run a site that cannot run."""
PREPARE_TIMEOUT = 60.0
"""Seconds for its files to be read: the file system may hang."""
REMOVED = "This site was removed."
UNAVAILABLE = "This site is not available."
OUTPUT_ROOM = 256 * 1024
OUTPUT_LINES = 1000
"""Bytes and lines of output that are kept of one of several sites."""


class SiteRunner:
    """Runs one site until it is ended."""

    def __init__(
        self,
        settings: SiteSettings,
        sites: Sites,
        builds: BuildLimit,
        handed: HandedRelease | None = None,
    ) -> None:
        """`handed` is the live release from before an upgrade in place."""
        self.settings = settings
        self.site: Site | None = None
        """None while it does not run."""
        self._sites = sites
        self._builds = builds
        self._handed = handed
        self._served = sites.served(settings)
        self._threads = threads.of_site()
        self._broken: BrokenSite | None = None
        """What is known of it while it does not run; None until its state has been read."""
        self._attempt = trio.CancelScope()
        """Cancelled if the site is to end while it is being made."""
        self._deploying = trio.CancelScope()
        self._has_deployed = trio.Event()
        self._may_deploy = True
        self.ended = trio.Event()
        """It has ended, for good."""
        self._end = trio.Event()

    def use(self, settings: SiteSettings, pages: ErrorPages | None) -> None:
        """Use these settings from now on, and these error pages unless they could not be read."""
        self.settings = settings
        self._served.limits = settings.serving
        self._served.hsts = hsts.header_line(settings.tls.hsts)
        self._served.pages = pages or self._served.pages
        if self._broken is not None:
            self._broken.settings = settings
        if self.site is not None:
            self.site.use(settings)

    async def make(self) -> None:
        """Make the site unless it exists; raise `CannotRun`. `run` does it, too."""
        if self.site is not None:
            return
        state = await self._restore()
        with _bounded():
            owner, user = await threads.run(_prepare, self.settings, abandon_on_cancel=True)
        label = self._sites.label(self.settings.name)
        site = Site(
            self.settings,
            owner=owner,
            user=user,
            builds=self._builds,
            output=Output(label, room=OUTPUT_ROOM, lines=OUTPUT_LINES) if label else Output(),
            served=self._served,
            state=state,
            threads=self._threads,
        )
        try:
            if self._handed is None:  # Otherwise there is a release to serve, at once.
                with _bounded():
                    await site.check_checkout()
        except CheckoutUnusable as error:
            raise CannotRun(f"[git] checkout: {error}") from None
        self.site = site
        self._sites.add(site)

    async def _restore(self) -> State:
        """Read the state and the error pages, and continue a maintenance; raise `CannotRun`.

        All else that a site needs may be missing: in maintenance, visitors get its page.
        """
        settings = self.settings
        read = partial(_read, settings, is_single=self._sites.is_single)
        if self._broken is None:
            with _bounded():
                state = await threads.run(read, abandon_on_cancel=True)
            self._broken = BrokenSite(settings, self._served, state, self._threads)
        with _bounded():
            pages, problem = await threads.run(_read_pages, settings, abandon_on_cancel=True)
        self._served.pages = pages
        self._broken.maintenance.restore()
        if problem:
            raise CannotRun(f"error_pages: {problem}")
        return self._broken.state

    async def run(self) -> None:
        """Run the site until `end`, and try again whenever it cannot run."""
        name = self.settings.name
        with log.about(self._sites.label(name)), threads.limited_by(self._threads):
            try:
                while not self._end.is_set():
                    try:
                        with trio.CancelScope() as self._attempt:
                            await self.make()
                        if self.site is not None:
                            await self._run_site(self.site)
                    except CannotRun as error:
                        await self._wait_after(str(error))
                    except Exception as error:
                        if self._sites.is_single:
                            raise
                        logger.exception("the site has failed through an error of the supervisor")
                        await self._wait_after(f"error of the supervisor: {error!r}")
            finally:
                self.ended.set()

    async def stop_deploying(self) -> None:
        """End the swaps and the watch; the live release goes on."""
        self._may_deploy = False
        self._deploying.cancel()
        if self.site is not None:
            await self._has_deployed.wait()

    async def end(self) -> None:
        """End the site, whose backends have stopped."""
        self._end.set()
        self._attempt.cancel()
        await self.ended.wait()

    async def retire(self) -> None:
        """Finish the requests of a site that is no longer in the settings, and end it."""
        label = self._sites.label(self.settings.name)
        with log.about(label), threads.limited_by(self._threads):
            try:
                await self._finish_and_stop()
            except Exception:
                logger.exception("stopping at once: an error of the supervisor")
            await self.end()
            logger.info("stopped")

    async def _finish_and_stop(self) -> None:
        logger.info("removed: finishing its in-flight requests")
        self._served.gate.close(REMOVED)
        self._served.gate.queue.refuse_held(REMOVED)  # Their site was perhaps paused for a reason.
        if self.site is not None:
            self.site.is_stopping = True
            self._sites.remove(self.site)  # Another one of its name may be added meanwhile.
        await self.stop_deploying()
        if (site := self.site) is not None:
            targets = [backend.target for backend in site.slots.backends]
            if left := await drain(targets, self.settings.swap.drain_timeout):
                logger.warning("cutting %s: drain_timeout is over", counted(left, "request"))
            cut(requests_of(targets))
            await site.notify.finish()
            await site.slots.stop()

    def kill(self) -> None:
        """Kill backends and processes, so that a site that is being retired ends at once."""
        if self.site is not None:
            self.site.slots.kill()

    async def _run_site(self, site: Site) -> None:
        site.gate.stop_refusing()
        self._has_deployed = trio.Event()
        try:
            async with trio.open_nursery() as backends:
                backends.start_soon(site.slots.run)
                backends.start_soon(site.notify.run)
                site.pause.restore()
                if (handed := self._handed) is not None:
                    self._handed = None
                    site.slots.take_over(handed)
                async with trio.open_nursery() as serving:
                    serving.start_soon(site.serve)
                    with trio.CancelScope() as self._deploying:
                        if self._may_deploy:
                            await site.deploy()
                    self._has_deployed.set()
                    await self._end.wait()
                    serving.cancel_scope.cancel()
                await site.save()
                backends.cancel_scope.cancel()
        finally:
            self.site = None
            self._has_deployed.set()
            self._sites.remove(site)
            site.gate.switch(())
            site.served.files = None

    async def _wait_after(self, why: str) -> None:
        """Refuse the site's requests for a while, and say why."""
        name = self.settings.name
        if self._sites.broken.get(name) != why:
            logger.error("cannot run: %s", why)
        if self._may_deploy:  # Otherwise it is being removed, and is none of the sites any more.
            self._sites.add_broken(name, why, self._broken)
        self._served.gate.refuse(UNAVAILABLE)
        with trio.move_on_after(RETRY_INTERVAL):
            async with trio.open_nursery() as nursery:
                if self._broken is not None:
                    nursery.start_soon(self._broken.maintenance.run)
                await self._end.wait()
                nursery.cancel_scope.cancel()


@contextmanager
def _bounded() -> Iterator[None]:
    """Raise `CannotRun` if reading files in this block takes too long."""
    try:
        with trio.fail_after(PREPARE_TIMEOUT):
            yield
    except trio.TooSlowError:
        raise CannotRun("its files cannot be read: the file system does not answer") from None


def _read(settings: SiteSettings, *, is_single: bool) -> State:
    """What the state directory remembers; raise `CannotRun`."""
    try:
        settings.state_directory.mkdir(parents=True, exist_ok=True)
        if not is_single:
            startup.check_site_trust(settings)
        return StateFile(settings.state_directory / STATE_FILE).load()
    except OSError as error:
        where = settings.state_directory
        raise CannotRun(f"cannot write to {where}: {error.strerror}") from None


def _read_pages(settings: SiteSettings) -> tuple[ErrorPages, str]:
    """The error pages, or the built-in ones and why the site's own cannot be used."""
    try:
        return ErrorPages(settings.serving.error_pages), ""
    except BadPages as error:
        return ErrorPages(), str(error)


def _prepare(settings: SiteSettings) -> tuple[User, User]:
    """The users that git and the app run as; raise `CannotRun`."""
    startup.check_secret(settings)
    users = startup.users_to_run_as(settings)
    startup.warn_root(settings)
    return users
