"""The supervisor: starts the parts of the process, and stops them in order.

Three nested nurseries define the order: the backends outlive the proxy, so that requests can
finish; the proxy outlives the swaps and the watch, so that nothing changes while it drains.
"""

import gc
import logging
from pathlib import Path

import trio

from blue_green.admin.routes import AdminPages
from blue_green.admin.server import Server
from blue_green.config.settings import Settings
from blue_green.control import server as control
from blue_green.http.certificates import BadCertificate
from blue_green.http.own_pages import BadPages
from blue_green.proxy.listener import Listener
from blue_green.site.site import CheckoutUnusable, Site
from blue_green.site.sites import Sites
from blue_green.supervisor import startup
from blue_green.supervisor.background_job import BackgroundJob
from blue_green.supervisor.operations import Operations
from blue_green.supervisor.reload import Reload
from blue_green.supervisor.startup import Listening
from blue_green.supervisor.stop import Stop
from blue_green.supervisor.upgrade import Upgrade
from blue_green.system import handover, process, rlimit_tag, systemd
from blue_green.system.handover import Handover

logger = logging.getLogger(__name__)


def run(file: Path, settings: Settings) -> None:
    """Run the supervisor until SIGTERM or SIGINT; raise `CannotRun`.

    The settings were read from the file, which a reload reads again.
    """
    directory = settings.state.directory
    try:
        directory.mkdir(parents=True, exist_ok=True)
        # A state directory inside the checkout must not show up as something to commit.
        if not (directory / ".gitignore").exists():
            (directory / ".gitignore").write_text("*\n")
    except OSError as error:
        raise startup.CannotRun(
            f"[state] directory: cannot write to {directory}: {error.strerror}"
        ) from None
    handed = handover.receive()
    with startup.only_one(directory / "lock", handed.lock if handed else None) as lock:
        if handed is not None:
            process.set_file_limit(handed.file_limit)
        if obstacle := rlimit_tag.obstacle():
            logger.warning("%s", obstacle)
        settings = startup.within_file_limit(settings)
        # Everything loaded so far stays. Scanning it for garbage would block requests for 10 ms.
        gc.freeze()
        trio.run(_supervise, file.absolute(), settings, lock, handed)


async def _supervise(file: Path, settings: Settings, lock: int, handed: Handover | None) -> None:
    """Run until a stop is requested. `lock` is the descriptor of the lock file.

    `handed` comes from the program that ran in this process before an upgrade in place.
    """
    [of_site] = settings.sites
    owner, user = startup.users_to_run_as(of_site)
    try:
        site = Site(of_site, owner=owner, user=user)
        await site.check_checkout()
        with startup.listening(settings, handed.sockets if handed else None) as listening:
            sites = Sites(settings)
            sites.add(site)
            listener = Listener(
                settings.proxy,
                sites.router(),
                listening.proxy,
                redirecting=listening.redirecting,
                handed=handed.clients if handed else (),
            )
            site.addresses = listener.addresses
            async with trio.open_nursery() as backends:
                backends.start_soon(site.slots.run)
                supervisor = Supervisor(
                    file=file,
                    sites=sites,
                    site=site,
                    listener=listener,
                    listening=listening,
                    lock=lock,
                )
                await supervisor.run(backends, handed)
                backends.cancel_scope.cancel()
    except CheckoutUnusable as error:
        raise startup.CannotRun(f"[git] checkout: {error}") from None
    except BadPages as error:
        raise startup.CannotRun(f"[proxy] error_pages: {error}") from None
    except BadCertificate as error:
        raise startup.CannotRun(f"[proxy.tls] {error}") from None
    logger.info("stopped")


class Supervisor:
    """The parts of the process, around its site."""

    def __init__(
        self,
        *,
        file: Path,
        sites: Sites,
        site: Site,
        listener: Listener,
        listening: Listening,
        lock: int,
    ) -> None:
        self._sites = sites
        self._site = site
        self._listener = listener
        self._listening = listening
        self._reload = Reload(file, sites, site, listener)
        self._upgrade = Upgrade(sites, site, listener, listening, lock)
        self._stop = Stop(sites, site, listener)
        self._operations = Operations(site, self._reload, self._upgrade)

    async def run(self, backends: trio.Nursery, handed: Handover | None) -> None:
        """Serve until a stop is requested; `backends` outlives everything else."""
        site, stop = self._site, self._stop
        reload = BackgroundJob(self._reload.reload_for_signal)
        upgrade = BackgroundJob(self._upgrade.upgrade_for_signal)
        backends.start_soon(stop.handle_signals, reload, upgrade)
        backends.start_soon(systemd.notify_watchdog)
        backends.start_soon(site.notify.run)
        if self._listening.admin:  # In this nursery, to report the stop until its end.
            pages = AdminPages(self._sites, self._listener.by_status)
            server = Server(
                self._listening.admin, pages.routes, pages.for_browsers, pages.find_hook
            )
            backends.start_soon(server.run)
        site.pause.restore()
        if handed is not None and handed.live is not None:
            site.slots.take_over(handed.live, site.releases.env_in(Path(handed.live.path)))
        async with trio.open_nursery() as serving:
            serving.start_soon(self._listener.run)
            serving.start_soon(site.serve)
            async with trio.open_nursery() as changing:
                commands = self._operations.commands
                changing.start_soon(control.serve, self._listening.control, commands)
                changing.start_soon(reload.run)
                changing.start_soon(upgrade.run)
                changing.start_soon(site.deploy)
                self._report_start()
                await stop.requested.wait()
                await stop.linger()
                changing.cancel_scope.cancel()
            await stop.shut_down()
            serving.cancel_scope.cancel()
        await site.save()

    def _report_start(self) -> None:
        logger.info("serving %s on %s", self._site.name, self._listener.addresses)
        for endpoint in self._sites.settings.admin.listen:
            logger.info("admin address: %s", endpoint)
        systemd.notify("READY=1", "STATUS=Starting")
