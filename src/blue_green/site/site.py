"""A site: one app with its settings, git, releases, slots, gate, deploy queue and state.

The one class that knows all parts of a site. A part is given the narrow object that it uses, or, if
it uses many, the site itself.
"""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime

import trio

from blue_green.config.changes import Change
from blue_green.config.settings import SiteSettings
from blue_green.http.errors import ErrorPages
from blue_green.proxy import hsts
from blue_green.proxy.pool import Pool
from blue_green.proxy.served_site import ServedSite
from blue_green.routing.gate import Gate
from blue_green.routing.rate import Rate
from blue_green.site import restore
from blue_green.site.build_limit import BuildLimit
from blue_green.site.certificate_reports import CertificateReports
from blue_green.site.crash import Crash
from blue_green.site.current_link import CurrentLink
from blue_green.site.deploy_queue import DeployQueue
from blue_green.site.exec_sessions import ExecSessions
from blue_green.site.maintenance import SiteMaintenance
from blue_green.site.new_commits import NewCommits
from blue_green.site.notify import Notify
from blue_green.site.pause import Pause
from blue_green.site.processes.app_processes import AppProcesses
from blue_green.site.processes.schedules import Schedules
from blue_green.site.pushes import Pushes
from blue_green.site.release_files import ReleaseFiles
from blue_green.site.retirement import Retirement
from blue_green.site.scheduled_run import FailedRun
from blue_green.site.site_certificates import SiteCertificates
from blue_green.site.sleep import Sleep
from blue_green.site.slots import Slots
from blue_green.site.state import RecordedBackend, State
from blue_green.site.state_file import STATE_FILE, StateFile
from blue_green.site.status import Status
from blue_green.site.swap_history import SwapHistory
from blue_green.site.taken_ports import TakenPorts
from blue_green.site.trigger import Trigger
from blue_green.source.git import Git
from blue_green.source.git_errors import GitError
from blue_green.source.release_commands import ReleaseCommands
from blue_green.source.releases import Releases
from blue_green.source.watch import Watch
from blue_green.system import procfs, supervisor_marker, systemd
from blue_green.system.output import Output
from blue_green.system.threads import of_site
from blue_green.system.users import User

logger = logging.getLogger(__name__)


class CheckoutUnusable(Exception):
    """The checkout cannot be used, and there is no release to serve; str() says why."""


def served_site(settings: SiteSettings, label: str = "") -> ServedSite:
    """What the proxy needs for a site: its requests wait until something is live."""
    gate, pool = Gate(settings.hold), Pool(settings.serving.backend_keepalive)
    line = hsts.header_line(settings.tls.hsts)
    return ServedSite(label, gate, pool, settings.serving, ErrorPages(), line)


class Site:
    """All parts of one site. `serve` and `deploy` run them until cancelled."""

    def __init__(
        self,
        settings: SiteSettings,
        *,
        owner: User,
        user: User,
        builds: BuildLimit | None = None,
        output: Output | None = None,
        served: ServedSite | None = None,
        state: State | None = None,
        threads: trio.CapacityLimiter | None = None,
    ) -> None:
        """Git runs as `owner`, and the app as `user`. `builds` is shared by all sites.

        `state` is that of an earlier supervisor; if it is missing, it is read from the state
        directory.
        """
        self.name = settings.name
        self.settings = settings
        """The settings in force."""
        self.user = user
        self.threads = threads or of_site()
        """Limits the worker threads of what is done for this site."""
        self.taken_ports: TakenPorts | None = None
        """The ports that it must not choose; set when it becomes one of the sites."""
        self.is_stopping = False
        """It is being stopped: what ends now has not crashed, and no process is started."""
        self.addresses = ""
        """The addresses on which it is served, in words."""
        self.supervisor_began = datetime.now(UTC)
        self.needs_restart: Sequence[Change] = ()
        """Changes in the settings file that take effect only after a restart."""
        state_directory = settings.state_directory
        self.state_file = StateFile(state_directory / STATE_FILE)
        self.state = state or self.state_file.load()
        self.output = output or Output()
        self.builds = builds or BuildLimit()
        self.served = served or served_site(settings)
        """What the proxy knows of the site."""
        self.gate, self.pool = self.served.gate, self.served.pool
        self.git = Git(
            settings.git.checkout,
            owner,
            supervisor_marker.variable(state_directory),
            settings.git.fetch_timeout,
        )
        self.watch = Watch(settings.git, self.git)
        commands = ReleaseCommands(owner, user, settings, self.output)
        self.releases = Releases(
            settings.release,
            self.git,
            state_directory,
            commands,
            keeps_out_others=bool(self.label),  # Other sites may run as other users.
        )
        self.files = ReleaseFiles(self)
        self.releases.pruning.before_deletion = self.files.forget
        self.notify = Notify(settings, user)
        self.exec_sessions = ExecSessions()
        self.current_link = CurrentLink(state_directory / "current")
        self.slots = Slots(self)
        self.processes = AppProcesses(self)
        self.schedules = Schedules(self.state, self.state_file)
        self.retirement = Retirement(self)
        self.sleep = Sleep(self)
        self.history = SwapHistory(self.state, self.notify)
        self.queue = DeployQueue(self)
        self.new_commits = NewCommits(self)
        self.pushes = Pushes()
        self.pause = Pause(self.gate, self.state, self.state_file)
        self.maintenance = SiteMaintenance(self.served, self.state, self.state_file, self.notify)
        self.rate = Rate(self.gate)
        self.certificates = SiteCertificates(self)
        self.status = Status(self)

    @property
    def label(self) -> str:
        """Its name if there are several sites, else ""."""
        return self.served.name

    @property
    def ports(self) -> set[int]:
        """All ports that its backends have, or will have."""
        named, found = self.settings.app.ports or (), (self.state.ports or {}).values()
        current = [slot.ports for slot in self.slots.both]
        return {port for ports in (*named, *found, *current) for port in ports}

    def use(self, settings: SiteSettings) -> None:
        """Use these settings from now on; parts that hold the site read them when needed."""
        before, self.settings = self.settings, settings
        if settings.git.paths != before.git.paths and self.new_commits.passed_over:
            self.watch.report_again()
        self.gate.queue.settings = settings.hold
        self.pool.keepalive = settings.serving.backend_keepalive
        self.watch.use(settings.git)
        self.notify.use(settings)
        self.sleep.use_settings()

    async def check_checkout(self) -> None:
        """Raise `CheckoutUnusable` if there is nothing to serve and nothing to deploy.

        If the checkout is gone but there is a release to serve, the watch logs that and retries.
        """
        try:
            await self.watch.find_checkout()
        except (GitError, OSError) as error:
            live = self.state.live
            if not await self.releases.has_good(live.revision if live else None):
                raise CheckoutUnusable(f"{self.git.checkout} cannot be used: {error}") from None

    async def serve(self) -> None:
        """Run the tasks that serving requests needs, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.pool.run)
            nursery.start_soon(self.gate.queue.keep_ramping)
            nursery.start_soon(self.rate.run)
            nursery.start_soon(self.maintenance.run)
            reports = CertificateReports(self.certificates.all, self.notify.report_certificates)
            nursery.start_soon(reports.run)
            nursery.start_soon(self.state_file.write_changes, self._snapshot)
            nursery.start_soon(self.current_link.run)
            nursery.start_soon(self.sleep.run)

    async def deploy(self) -> None:
        """Serve the last release, then deploy what is requested, until cancelled.

        The last release needs neither the network nor a build, so it starts before HEAD is read.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.pause.run)
            with self.builds.restoring():
                await restore.last_release(self)
            head = self.state.head if self.slots.live is not None else None
            if self.settings.webhook.secret_file is not None:
                self.watch.pull_now()  # The hook may have been called while we did not run.
            nursery.start_soon(self.queue.run)
            await self.watch.run(head, self.new_commits.deploy)

    async def save(self) -> None:
        """Write the state now, so that a restart remembers what is reported next."""
        await self.state_file.write(self._snapshot())

    def show(self, event: str) -> None:
        """Show the last event in `systemctl status`, with the site's name if there are several."""
        label = f"{self.label}: " if self.label else ""
        systemd.notify(f"STATUS={label}{event}")

    def report_unhealthy(self, reason: str) -> None:
        """Replace the live backends, which fail their probes, unless a swap will do so anyway.

        A trial may last for long, and has to end for that.
        """
        live = self.slots.live_revision
        if live is not None and (self.queue.is_idle or self.queue.trial is not None):
            logger.error("the live release is unhealthy and will be replaced: %s", reason)
            self.queue.request(live, Trigger.HEALTH, retry=True)

    def report_crash(self, crash: Crash) -> None:
        """Notify the owner that a live backend or a process has ended, or failed to restart."""
        if not self.is_stopping:
            self.notify.report_crash(crash)

    def report_failed_run(self, run: FailedRun) -> None:
        """Notify the owner that a run of a process with a schedule has failed."""
        if not self.is_stopping:
            self.notify.report_failed_run(run)

    def _snapshot(self) -> State:
        """The state, with the processes that run right now."""
        backends = [backend.process for backend in self.slots.backends]
        others = [running.process for running in self.processes.running]
        self.state.boot = procfs.boot_id()
        self.state.backends = [
            RecordedBackend(process.pid, process.began)
            for process in (*backends, *others)
            if process.began is not None
        ]
        return self.state
