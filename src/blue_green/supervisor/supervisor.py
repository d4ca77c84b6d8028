"""The supervisor: starts the parts of the process, and stops them in order.

Two nested nurseries define the order: the sites and the proxy outlive the commands that change
them. The order within a site is that of its `SiteRunner`.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import trio

from blue_green.admin.routes import AdminPages
from blue_green.admin.server import Server
from blue_green.certificates.certificates import Certificates, load_libraries
from blue_green.certificates.pem import BadCertificate
from blue_green.config.settings import Settings
from blue_green.control import server as control
from blue_green.http.own_pages import BadPages
from blue_green.proxy.listener import Listener
from blue_green.site.sites import Sites
from blue_green.supervisor import forgotten_sites, garbage, startup
from blue_green.supervisor.background_job import BackgroundJob
from blue_green.supervisor.operations import Operations
from blue_green.supervisor.reload import Reload
from blue_green.supervisor.site_runners import SiteRunners
from blue_green.supervisor.startup import CannotRun, Listening
from blue_green.supervisor.stop import Stop
from blue_green.supervisor.upgrade import Upgrade
from blue_green.system import capabilities, handover, process, rlimit_tag, systemd
from blue_green.system.handover import HandedRelease, Handover
from blue_green.system.printable import counted

logger = logging.getLogger(__name__)

HOW_TO_REPAIR = "correct the settings, then run blue-green reload"


def run(file: Path, settings: Settings, mistakes: Mapping[str, Sequence[str]]) -> None:
    """Run the supervisor until SIGTERM or SIGINT; raise `CannotRun`.

    The settings were read from the file, which a reload reads again. `mistakes` are those in the
    settings of further sites, by name, which do not run because of them.
    """
    directory = settings.state.directory
    try:
        directory.mkdir(parents=True, exist_ok=True)
        # A state directory inside the checkout must not show up as something to commit.
        if not (directory / ".gitignore").exists():
            (directory / ".gitignore").write_text("*\n")
    except OSError as error:
        raise CannotRun(
            f"[state] directory: cannot write to {directory}: {error.strerror}"
        ) from None
    handed = handover.receive()
    capabilities.keep_to_ourselves()
    with startup.only_one(directory / "lock", handed.lock if handed else None) as lock:
        if handed is not None:
            process.set_file_limit(handed.file_limit)
        if obstacle := rlimit_tag.obstacle():
            logger.warning("%s", obstacle)
        sites = Sites(settings)
        for name, problems in mistakes.items():
            sites.broken[name] = "\n".join([*problems, HOW_TO_REPAIR])
            logger.error("%s cannot run, its settings have mistakes:\n%s", name, sites.broken[name])
        load_libraries(settings.proxy.tls)
        garbage.defer_full_collections()
        trio.run(_supervise, file.absolute(), sites, lock, handed)


async def _supervise(file: Path, sites: Sites, lock: int, handed: Handover | None) -> None:
    """Run until a stop is requested. `lock` is the descriptor of the lock file.

    `handed` comes from the program that ran in this process before an upgrade in place.
    """
    settings = sites.settings
    runners = SiteRunners(sites, _handed_releases(settings, handed))
    try:
        await runners.make_single()
        with startup.listening(settings, handed.sockets if handed else None) as listening:
            certificates: Certificates | None = None
            if settings.proxy.tls is not None:
                certificates = Certificates(settings, redirects=bool(listening.redirecting))
                sites.use_certificates(certificates.of_site)
            listener = Listener(
                startup.within_file_limit(settings),
                sites.router(),
                listening.proxy,
                buffer_directory=settings.state.directory,
                certificates=certificates.table if certificates else None,
                redirecting=listening.redirecting,
                handed=handed.clients if handed else (),
            )
            sites.use_addresses(listener.addresses)
            supervisor = Supervisor(
                file, sites, runners, listener, certificates, listening=listening, lock=lock
            )
            await supervisor.run()
    except BadPages as error:
        raise CannotRun(f"[proxy] error_pages: {error}") from None
    except BadCertificate as error:
        raise CannotRun(str(error)) from None
    logger.info("stopped")


def _handed_releases(settings: Settings, handed: Handover | None) -> Mapping[str, HandedRelease]:
    """The live releases from before an upgrade in place, by site."""
    if handed is None:
        return {}
    if settings.is_single:
        return {site.name: handed.live for site in settings.sites if handed.live}
    return handed.sites


class Supervisor:
    """The parts of the process, around its sites."""

    def __init__(
        self,
        file: Path,
        sites: Sites,
        runners: SiteRunners,
        listener: Listener,
        certificates: Certificates | None,
        *,
        listening: Listening,
        lock: int,
    ) -> None:
        self._sites = sites
        self._runners = runners
        self._listener = listener
        self._certificates = certificates
        self._listening = listening
        self._reload = Reload(file, sites, runners, listener, certificates)
        self._upgrade = Upgrade(sites, self._reload, listener, listening, lock)
        self._stop = Stop(sites, runners, listener)
        self._operations = Operations(sites, self._reload, self._upgrade)

    async def run(self) -> None:
        """Serve until a stop is requested."""
        stop, runners = self._stop, self._runners
        reload = BackgroundJob(self._reload.reload_for_signal)
        upgrade = BackgroundJob(self._upgrade.upgrade_for_signal)
        async with trio.open_nursery() as serving:
            serving.start_soon(stop.handle_signals, reload, upgrade)
            serving.start_soon(systemd.notify_watchdog)
            serving.start_soon(garbage.collect_now_and_then)
            if self._listening.admin:  # In this nursery, to report the stop until its end.
                pages = AdminPages(
                    self._sites, self._listener.by_status, self._listener.count_clients
                )
                server = Server(
                    self._listening.admin, pages.routes, pages.for_browsers, pages.find_hook
                )
                serving.start_soon(server.run)
            if self._certificates is not None:
                serving.start_soon(self._certificates.run)
            serving.start_soon(runners.run)
            serving.start_soon(self._end_forgotten)
            serving.start_soon(self._listener.run)
            async with trio.open_nursery() as changing:
                commands = self._operations.commands
                changing.start_soon(control.serve, self._listening.control, commands)
                changing.start_soon(reload.run)
                changing.start_soon(upgrade.run)
                self._report_start()
                await stop.requested.wait()
                await stop.linger()
                changing.cancel_scope.cancel()
            await runners.stop_deploying()
            await stop.shut_down()
            await runners.end()
            serving.cancel_scope.cancel()

    async def _end_forgotten(self) -> None:
        async with self._reload.lock:  # It might add such a site again.
            await forgotten_sites.end_processes(self._sites.settings)

    def _report_start(self) -> None:
        settings = self._sites.settings
        names = [site.name for site in settings.sites]
        shown = names[0] if settings.is_single else counted(len(names), "site")
        logger.info("serving %s on %s", shown, self._listener.addresses)
        for endpoint in settings.admin.listen:
            logger.info("admin address: %s", endpoint)
        systemd.notify("READY=1", "STATUS=Starting")
