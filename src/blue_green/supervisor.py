"""The supervisor: starts the parts, hands them to each other, and stops them in order.

Three nurseries, one inside the other, say what outlives what: the backends outlive the proxy, so
that requests can be finished; the proxy outlives the swaps and the watch, so that nothing changes
any more while it drains.
"""

import logging
import signal
from pathlib import Path

import trio

from blue_green import handover, process, procfs, startup, systemd
from blue_green.admin.pages import Pages
from blue_green.admin.server import Server
from blue_green.control import server as control
from blue_green.control.logs import Logs
from blue_green.control.operations import Operations
from blue_green.crash import Crash
from blue_green.gate import Gate
from blue_green.git import Git, GitError, Places
from blue_green.handover import Handover
from blue_green.leftovers import end_leftovers
from blue_green.notify import Notify
from blue_green.output import Output
from blue_green.pause import Pause
from blue_green.process import SUPERVISOR, environment
from blue_green.proxy import listener as proxy
from blue_green.proxy.certificate import BadCertificate
from blue_green.proxy.errors import BadPages
from blue_green.rate import Rate
from blue_green.release import Releases
from blue_green.reload import Reload
from blue_green.settings import Settings
from blue_green.slots import Slots
from blue_green.startup import Listening
from blue_green.state import Live, Running, State, StateFile
from blue_green.status import Status
from blue_green.steps import HEALTH, Site
from blue_green.upgrade import Upgrade
from blue_green.wanted import Swaps
from blue_green.watch import Watch

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
        supervisor = Supervisor(file.absolute(), startup.within_file_limit(settings), lock)
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
        self._mark = f"{SUPERVISOR}={directory}"
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
        self._stopping = trio.Event()
        self._lingering = trio.CancelScope()
        self._hurry = trio.CancelScope()

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
            report_unwell=lambda why: self._replace_unwell(swaps, why),
            report_crash=self._report_crash,
        )

        async def save() -> None:
            await self._file.write(self._snapshot())

        site = Site(self._gate, slots, self._releases, self._state)
        swaps = Swaps(site, self._git, self._notify, save)
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
            self._settings.app.name, site=site, swaps=swaps, pause=pause, watch=watch, rate=rate
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
        backends.start_soon(self._listen_to_signals, reload, upgrade)
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
                changing.start_soon(self._bring_up, slots, swaps, watch)
                logger.info("%s is served on %s", self._settings.app.name, listener.addresses)
                for endpoint in self._settings.admin.listen:
                    logger.info("how it stands is told on %s", endpoint)
                systemd.notify("READY=1", "STATUS=Starting")
                await self._stopping.wait()
                pages.stopping = True
                await self._linger(slots)
                changing.cancel_scope.cancel()
            await self._wind_up(listener, slots)
            serving.cancel_scope.cancel()
        await self._file.write(self._snapshot())

    async def _bring_up(self, slots: Slots, swaps: Swaps, watch: Watch) -> None:
        """What served last comes first, without network or build; only then HEAD is looked at."""
        app = self._settings.app
        remembered = self._state.backends if self._state.boot == procfs.boot_id() else []
        ours = [backend.process for slot in (slots.blue, slots.green) for backend in slot.backends]
        await end_leftovers(
            self._mark, remembered, how=app.stop_signal, timeout=app.stop_timeout, ours=ours
        )
        await self._tidy_releases()
        if slots.live is None:
            await self._restore(slots)
        head = self._state.head if slots.live is not None else None
        if self._settings.webhook.secret_file is not None:
            watch.pull_now()  # While we were not here, nobody could call.
        async with trio.open_nursery() as nursery:
            nursery.start_soon(swaps.run)
            await watch.run(head, lambda revision: _want(swaps, revision))

    async def _tidy_releases(self) -> None:
        live = self._state.live
        in_use = {self._state.previous, live.revision if live else self._releases.last_promoted()}
        try:
            self._releases.create_directories()
            await self._releases.prune({revision for revision in in_use if revision})
        except (GitError, OSError) as error:
            logger.warning("old releases cannot be removed: %s", error)

    async def _restore(self, slots: Slots) -> None:
        live = self._state.live
        release = await self._releases.last_good(live.revision if live else None)
        if release is None:
            return
        if live is None or live.revision != release.revision:  # The state was lost, or the release.
            live = self._state.live = Live("blue", release.revision)
            self._state.head = None
        logger.info("starting %s, which was live before", live.revision[:7])
        slot = slots.by_name(live.slot)
        slot.take(release, slots.settings)
        slots.go_live(slot)
        slot.keep()
        await slot.settled.wait()
        if slot.targets:
            systemd.notify(f"STATUS=Serving {live.revision[:7]} in {slot.name}")
            logger.info("%s is live again in %s", live.revision[:7], slot.name)

    async def _linger(self, slots: Slots) -> None:
        """Serve on as if nothing were, so that balancers see in time that they should not ask."""
        delay = slots.settings.admin.drain_delay
        if not delay:
            return
        logger.info("stopping in %g s: until then only /ready tells of it", delay)
        systemd.notify("STATUS=Stopping soon", _more_time(slots, delay))
        with self._lingering:
            await trio.sleep(delay)

    async def _wind_up(self, listener: proxy.Listener, slots: Slots) -> None:
        """Finish what is in hand, then stop the backends. A second signal makes it short."""
        logger.info("stopping: requests in flight are finished first")
        drain = slots.settings.swap.drain_timeout
        systemd.notify("STOPPING=1", "STATUS=Stopping", _more_time(slots))
        self._gate.shut("The server is stopping.")
        with self._hurry:
            if late := await listener.drain(drain):
                logger.warning("%d requests were cut: their time to drain was up", late)
            await self._notify.finish()
        await slots.stop()

    async def _listen_to_signals(self, reload: Reload, upgrade: Upgrade) -> None:
        with trio.open_signal_receiver(*handover.HELD_BACK) as signals:
            handover.let_signals_through()
            async for received in signals:
                if received == signal.SIGHUP:
                    reload.ask()
                elif received == signal.SIGUSR2:
                    upgrade.ask()
                elif not self._stopping.is_set():
                    self._stopping.set()
                else:
                    logger.warning("%s again: stopping at once", signal.Signals(received).name)
                    self._stop_at_once()

    def _stop_at_once(self) -> None:
        self._lingering.cancel()
        self._hurry.cancel()
        if self._slots is not None:
            for slot in (self._slots.blue, self._slots.green):
                for backend in slot.backends:
                    backend.process.kill()

    def _report_crash(self, crash: Crash) -> None:
        if not self._stopping.is_set():  # Then it may be we who end it.
            self._notify.crashed(crash)

    def _replace_unwell(self, swaps: Swaps, why: str) -> None:
        assert self._slots is not None
        live = self._slots.live
        if live is not None and live.release is not None and swaps.is_idle:
            logger.error("the live release is unwell and will be replaced: %s", why)
            swaps.want(live.release.revision, HEALTH, retry=True)

    def _snapshot(self) -> State:
        """The state, with what runs right now."""
        slots = self._slots
        assert slots is not None
        processes = [b.process for slot in (slots.blue, slots.green) for b in slot.backends]
        self._state.boot = procfs.boot_id()
        self._state.backends = [
            Running(process.pid, process.began)
            for process in processes
            if process.began is not None
        ]
        return self._state

    async def _places(self) -> Places | None:
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


def _want(swaps: Swaps, revision: str) -> None:
    swaps.want(revision, "watch")


def _more_time(slots: Slots, before: float = 0.0) -> str:
    """However the unit's TimeoutStopSec was chosen, what the settings allow is time enough."""
    stop = max(slot.settings.app.stop_timeout for slot in (slots.blue, slots.green))
    longest = before + slots.settings.swap.drain_timeout + 2 * stop + 10
    return f"EXTEND_TIMEOUT_USEC={longest * 1e6:.0f}"
