"""The supervisor: starts the parts, hands them to each other, and stops them in order.

Three nurseries, one inside the other, say what outlives what: the backends outlive the proxy, so
that requests can be finished; the proxy outlives the swaps and the watch, so that nothing changes
any more while it drains.
"""

import gc
import logging
from pathlib import Path

import trio

from blue_green.admin.pages import Pages
from blue_green.admin.server import Server
from blue_green.config.settings import Settings
from blue_green.control import server as control
from blue_green.http.certificates import BadCertificate
from blue_green.http.own_pages import BadPages
from blue_green.proxy import listener as proxy
from blue_green.routing.gate import Gate
from blue_green.routing.rate import Rate
from blue_green.site import restore
from blue_green.site.crash import Crash
from blue_green.site.deploy_queue import DeployQueue
from blue_green.site.notify import Notify
from blue_green.site.pause import Pause
from blue_green.site.phases import HEALTH, Site
from blue_green.site.slots import Slots
from blue_green.site.state import Running, State, StateFile
from blue_green.site.status import Status
from blue_green.source.git import Git, GitError, GitPaths
from blue_green.source.release import Releases
from blue_green.source.watch import Watch
from blue_green.supervisor import startup
from blue_green.supervisor.logs import Logs
from blue_green.supervisor.operations import Operations
from blue_green.supervisor.reload import Reload
from blue_green.supervisor.startup import Listening
from blue_green.supervisor.stop import Stop
from blue_green.supervisor.upgrade import Upgrade
from blue_green.system import handover, process, procfs, systemd, tag
from blue_green.system.handover import Handover
from blue_green.system.output import Output
from blue_green.system.process import SUPERVISOR, environment

logger = logging.getLogger(__name__)


def run(file: Path, settings: Settings) -> None:
    """Supervise until told to stop by SIGTERM or SIGINT; raise `CannotRun`.

    The settings are those of the file, which a reload reads again.
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
        if obstacle := tag.obstacle():
            logger.warning("%s", obstacle)
        supervisor = Supervisor(file.absolute(), startup.within_file_limit(settings), lock)
        # What is loaded by now stays. To look through all of it for garbage takes 10 ms, in which
        # no request would get on.
        gc.freeze()
        trio.run(supervisor.run, handed)


class Supervisor:
    """All parts of one running site."""

    def __init__(self, file: Path, settings: Settings, lock: int) -> None:
        """`lock` is the descriptor of the lock file."""
        self._lock = lock
        directory = settings.state.directory
        self._settings_file = file
        self._settings = settings
        """Those at the start. `Slots` has those in force."""
        self._owner, self._user = startup.whom_to_run_as(settings)
        env = {SUPERVISOR: str(directory)}
        self._git = Git(settings.git.checkout, self._owner, env, settings.git.fetch_timeout)
        self._gate = Gate(settings.hold)
        self._file = StateFile(directory / "state.toml")
        self._output = Output()
        self._releases = Releases(
            settings.release,
            self._git,
            directory,
            self._user,
            environment(settings),
            output=self._output,
        )
        self._notify = Notify(settings, self._user, file.parent)
        self._state = State()
        self._slots: Slots | None = None
        self._stop: Stop | None = None

    async def run(self, handed: Handover | None) -> None:
        """Until told to stop. `handed` is what the program before us in this process left."""
        self._state = self._file.load()
        watch = Watch(self._settings.git, self._git, await self._places())
        try:
            with startup.listening(self._settings, handed.sockets if handed else None) as listening:
                listener = proxy.Listener(
                    self._settings.proxy,
                    self._gate,
                    listening.proxy,
                    listening.redirecting,
                    handed.clients if handed else (),
                )
                async with trio.open_nursery() as outer:
                    await self._supervise(outer, listener, watch, listening, handed)
                    outer.cancel_scope.cancel()
        except BadPages as error:
            raise startup.CannotRun(f"[proxy] error_pages: {error}") from None
        except BadCertificate as error:
            raise startup.CannotRun(f"[proxy.tls] {error}") from None
        logger.info("stopped")

    async def _supervise(
        self,
        backends: trio.Nursery,
        listener: proxy.Listener,
        watch: Watch,
        listening: Listening,
        handed: Handover | None,
    ) -> None:
        slots = self._slots = Slots(
            self._settings,
            self._gate,
            user=self._user,
            output=self._output,
            nursery=backends,
            forget=listener.pool.forget,
            changed=self._file.change,
            report_unhealthy=lambda why: self._replace_unwell(swaps, why),
            report_crash=self._report_crash,
        )

        async def save() -> None:
            await self._file.write(self._snapshot())

        site = Site(self._gate, slots, self._releases, self._state)
        swaps = DeployQueue(site, self._git, self._notify, save)
        pause = Pause(self._gate, self._state, self._file)
        reload = Reload(self._settings_file, site, listener, watch, self._notify)
        upgrade = Upgrade(
            site=site,
            swaps=swaps,
            watch=watch,
            listener=listener,
            notify=self._notify,
            listening=listening,
            lock=self._lock,
            save=save,
        )
        rate = Rate(listener.by_status, self._gate)
        status = Status(
            self._settings.app.name,
            addresses=listener.addresses,
            site=site,
            swaps=swaps,
            pause=pause,
            watch=watch,
            rate=rate,
            needs_restart=lambda: reload.needs_restart,
        )
        pages = Pages(
            site,
            swaps,
            listener.by_status,
            status=status,
            rate=rate,
            output=self._output,
            hook=self._settings.webhook,
            pull=watch.pull_now,
        )
        operations = Operations(
            gate=self._gate,
            swaps=swaps,
            pause=pause,
            reload=reload,
            upgrade=upgrade,
            status=status,
            logs=Logs(self._output, self._git),
            git=self._git,
        )
        stop = self._stop = Stop(site, listener, self._notify)
        backends.start_soon(stop.listen_to_signals, reload, upgrade)
        backends.start_soon(systemd.show_signs_of_life)
        backends.start_soon(self._notify.run)
        if listening.admin:  # With the backends, since it is to tell of the stop until its end.
            server = Server(listening.admin, pages.routes, pages.for_browsers)
            backends.start_soon(server.run)
        pause.go_on()
        if handed is not None and handed.live is not None:
            slots.take_over(handed.live, self._releases.env_in(Path(handed.live.path)))
        async with trio.open_nursery() as serving:
            serving.start_soon(listener.run)
            serving.start_soon(self._gate.keep_ramping)
            serving.start_soon(rate.run)
            serving.start_soon(self._file.write_changes, self._snapshot)
            async with trio.open_nursery() as changing:
                changing.start_soon(control.serve, listening.control, operations.commands)
                changing.start_soon(pause.run)
                changing.start_soon(reload.run)
                changing.start_soon(upgrade.run)
                changing.start_soon(self._bring_up, site, swaps, watch)
                logger.info("%s is served on %s", self._settings.app.name, listener.addresses)
                for endpoint in self._settings.admin.listen:
                    logger.info("how it stands is told on %s", endpoint)
                systemd.notify("READY=1", "STATUS=Starting")
                await stop.asked.wait()
                pages.stopping = True
                await stop.linger()
                changing.cancel_scope.cancel()
            await stop.wind_up()
            serving.cancel_scope.cancel()
        await self._file.write(self._snapshot())

    async def _bring_up(self, site: Site, swaps: DeployQueue, watch: Watch) -> None:
        """What served last comes first, without network or build; only then HEAD is looked at."""
        await restore.last_release(site)
        head = self._state.head if site.slots.live is not None else None
        if self._settings.webhook.secret_file is not None:
            watch.pull_now()  # While we were not here, nobody could call.
        async with trio.open_nursery() as nursery:
            nursery.start_soon(swaps.run)
            await watch.run(head, lambda revision: _want(swaps, revision))

    def _report_crash(self, crash: Crash) -> None:
        if self._stop is not None and not self._stop.asked.is_set():
            self._notify.crashed(crash)  # Once a stop was asked for, it may be we who end it.

    def _replace_unwell(self, swaps: DeployQueue, why: str) -> None:
        assert self._slots is not None
        live = self._slots.live
        if live is not None and live.release is not None and swaps.is_idle:
            logger.error("the live release is unwell and will be replaced: %s", why)
            swaps.want(live.release.revision, HEALTH, retry=True)

    def _snapshot(self) -> State:
        """The state, with what runs right now."""
        slots = self._slots
        assert slots is not None
        processes = [backend.process for backend in slots.backends]
        self._state.boot = procfs.boot_id()
        self._state.backends = [
            Running(process.pid, process.began)
            for process in processes
            if process.began is not None
        ]
        return self._state

    async def _places(self) -> GitPaths | None:
        """Of the checkout. None if it cannot be used, but there is a release to serve."""
        try:
            places = await self._git.places()
            await self._git.head()
        except (GitError, OSError) as error:
            live = self._state.live
            if self._releases.has_good(live.revision if live else None):
                return None  # The watch tells of it, and tries again.
            checkout = self._settings.git.checkout
            raise startup.CannotRun(f"[git] checkout: {checkout} cannot be used: {error}") from None
        return places


def _want(swaps: DeployQueue, revision: str) -> None:
    swaps.want(revision, "watch")
