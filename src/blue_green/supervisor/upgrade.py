"""Upgrade in place: the installed program takes over without downtime.

First the new program is tried beside this one: if it cannot be loaded, or rejects the settings,
nothing has happened. Then no swap and no pull may begin, and requests in flight may finish while
others are served. After that, new requests wait in the kernel until the last ones have finished and
the new program has started. Streams are closed at the last moment, and so are TLS connections,
whose clients have been asked not to use them again. The new program gets the listening sockets, the
live backends, and the connections of all waiting clients.
"""

import logging
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import trio

from blue_green import __version__
from blue_green.config.command_line import to_decide
from blue_green.control.server import Refusal, Send
from blue_green.proxy import quiesce
from blue_green.proxy.listener import Listener
from blue_green.site import handed_results
from blue_green.site.draining import close_streams, requests_of, still_in_flight, until_ended
from blue_green.site.processes import handed_processes
from blue_green.site.site import Site
from blue_green.site.sites import Sites
from blue_green.supervisor.reload import Reload
from blue_green.supervisor.startup import Listening
from blue_green.system import command, handover, log, process, systemd, users
from blue_green.system.cannot_start import CannotStart
from blue_green.system.handover import HandedBackend, HandedRelease, Handover
from blue_green.system.printable import counted

logger = logging.getLogger(__name__)

HOLDER = "upgrade"
TRIAL = "--trial"
TRIAL_TIMEOUT = 30.0
CHECK_INTERVAL = 1.0
"""Seconds between two looks at whether the swap that an upgrade waits for has become a canary."""
STREAMS_TO_END = 1.0
"""Seconds in which streams may end properly. All clients wait for them."""
QUIESCE_TIMEOUT = 5.0
"""Seconds that clients may wait for requests that began at the last moment."""


class Upgrade:
    """Hands this process over to the installed program."""

    def __init__(
        self,
        sites: Sites,
        reload: Reload,
        listener: Listener,
        listening: Listening,
        lock: int,
    ) -> None:
        """`lock` is the descriptor of the lock file."""
        self._sites = sites
        self._reload = reload
        self._listener = listener
        self._listening = listening
        self._lock = lock
        self._in_progress = trio.Lock()

    async def upgrade_for_signal(self) -> None:
        """Upgrade; a failure is only logged, since no client waits."""

        async def ignore(_: dict[str, Any]) -> None:
            pass

        try:
            await self.upgrade(ignore)
        except Refusal as refusal:
            logger.error("not upgraded: %s", refusal)

    async def upgrade(self, send: Send) -> None:
        """Execute the installed program. Raises `Refusal` if nothing has changed."""
        if self._in_progress.locked():
            raise Refusal("an upgrade is already in progress")
        async with self._in_progress:
            check_no_trial(self._sites)
            argv = [sys.executable, *sys.orig_argv[1:]]
            await _try(argv)
            while True:
                await _until_idle(self._sites)  # Meanwhile a reload may change or remove them.
                async with self._reload.lock:
                    await self._reload.check_same_sites()
                    with _unchanging(self._sites) as sites:
                        if sites is not None:
                            await self._hand_over_unchanging(argv, sites, send)

    async def _hand_over_unchanging(
        self, argv: list[str], sites: Sequence[Site], send: Send
    ) -> None:
        """Hand over after the requests in flight, while no swap can begin."""
        await _for_each(sites, self._finish_requests)
        # Also those for files, which no backend knows of.
        longest = max((site.settings.swap.drain_timeout for site in sites), default=0.0)
        if left := await self._listener.until_finished(longest):
            raise Refusal(still_in_flight(left, longest))
        # The command of a notification would be ended as an orphan.
        await _for_each(sites, lambda site: site.notify.finish())
        await self._hand_over_at_rest(argv, sites, send)

    async def _hand_over_at_rest(self, argv: list[str], sites: Sequence[Site], send: Send) -> None:
        """Hand over when no request is in flight any more."""
        try:
            async with self._listener.at_rest(QUIESCE_TIMEOUT) as clients:
                for site in sites:
                    site.gate.hold(HOLDER)
                await _for_each(sites, lambda site: site.save())
                if not all(site.queue.is_idle for site in sites):
                    raise Refusal("a swap was requested: upgrade when it has ended")
                await _for_each(sites, _close_streams)
                await send({"event": "upgrading", "program": __version__})
                self._hand_over(argv, sites, quiesce.hand_over(clients))
        except trio.TooSlowError:
            raise Refusal(
                f"the last requests took more than {QUIESCE_TIMEOUT:g} s: try again later"
            ) from None
        finally:
            for site in sites:
                site.gate.resume(HOLDER)

    async def _finish_requests(self, site: Site) -> None:
        """Let requests in flight finish while new ones are served; do not wait for streams."""
        await site.retirement.finish()
        live, timeout = site.slots.live, site.settings.swap.drain_timeout
        requests = requests_of(live.targets) if live else []
        with trio.move_on_after(timeout):
            await until_ended(requests)
        if left := sum(lease.is_open and not lease.is_stream for lease in requests):
            label = self._sites.label(site.name)
            raise Refusal((f"{label}: " if label else "") + still_in_flight(left, timeout))

    def _hand_over(
        self,
        argv: list[str],
        sites: Sequence[Site],
        clients: tuple[handover.HandedClient, ...],
    ) -> None:
        live = {site.name: _live(site) for site in sites}
        releases = {name: release for name, release in live.items() if release is not None}
        is_single = self._sites.is_single
        inherited = systemd.inherited_descriptors() if self._listening.from_systemd else ()
        everything = Handover(
            program=__version__,
            lock=self._lock,
            sockets=self._listening.named(self._sites.settings),
            file_limit=process.file_limit,
            live=next(iter(releases.values()), None) if is_single else None,
            clients=clients,
            sites={} if is_single else releases,
        )
        kept = f" and {counted(len(clients), 'open connection')}" if clients else ""
        logger.info("upgrading: the new program takes over the addresses%s", kept)
        systemd.notify_reloading()
        log.flush()
        try:
            handover.hand_over(everything, argv, inherited)
        except OSError as error:
            systemd.notify("READY=1")
            raise Refusal(f"cannot execute {argv[0]}: {error.strerror}") from None


def check_no_trial(sites: Sites) -> None:
    """Raise `Refusal` if a site has a canary or a preview: both may last for days."""
    for site in sites:
        if (trial := site.queue.trial) is not None:
            raise Refusal(
                f"there is a {trial.plan.kind}, which only one program can carry out. "
                f"Before an upgrade, decide: {to_decide(sites.label(site.name))}"
            )


async def _until_idle(sites: Sites) -> None:
    """Wait until no site has a swap or a pull. All others go on, and may begin one."""
    for site in sites:
        if any(lock.locked() for lock in _locks(site)):
            logger.info("the upgrade waits for the swap or pull of %s", site.name)
            for lock in _locks(site):
                await _until_free(lock, sites)


async def _until_free(lock: trio.Lock, sites: Sites) -> None:
    while True:
        check_no_trial(sites)
        with trio.move_on_after(CHECK_INTERVAL):
            async with lock:
                return


@contextmanager
def _unchanging(sites: Sites) -> Iterator[Sequence[Site] | None]:
    """Let no swap and no pull begin in this block; None instead of the sites if there is one."""
    running = list(sites)
    locks = [lock for site in running for lock in _locks(site)]
    if any(lock.locked() for lock in locks):
        yield None
        return
    with ExitStack() as held:
        for lock in locks:
            lock.acquire_nowait()
            held.callback(lock.release)
        yield running


def _locks(site: Site) -> Sequence[trio.Lock]:
    return site.queue.lock, site.watch.lock


async def _for_each(sites: Sequence[Site], do: Callable[[Site], Awaitable[None]]) -> None:
    """Do this for all sites at once; raise the first `Refusal`."""
    refusals: list[Refusal] = []

    async def do_one(site: Site) -> None:
        try:
            await do(site)
        except Refusal as refusal:
            refusals.append(refusal)

    async with trio.open_nursery() as nursery:
        for site in sites:
            nursery.start_soon(do_one, site)
    if refusals:
        raise refusals[0]


async def _close_streams(site: Site) -> None:
    """Close all streams at once: no client can reconnect before the new program runs."""
    if (live := site.slots.live) is not None:
        await close_streams(live.targets, 0.0, close_timeout=STREAMS_TO_END)


async def _try(argv: list[str]) -> None:
    """Start the installed program beside us, to load everything; raise `Refusal` if it cannot."""
    us = users.owner_of(Path("/proc/self"))
    try:
        done = await command.run(
            [*argv, TRIAL], cwd=Path.cwd(), env={}, user=us, timeout=TRIAL_TIMEOUT, inherits=True
        )
    except CannotStart as error:
        raise Refusal(f"the installed program cannot be started: {error}") from None
    if not done.ok:
        raise Refusal("\n".join([f"the installed program does not start: {done}", *done.tail]))
    if done.stdout.strip() != str(handover.VERSION):
        raise Refusal(
            "the installed program cannot take over from this one: restart the service instead"
        )


def _live(site: Site) -> HandedRelease | None:
    slot = site.slots.live
    if slot is None or slot.release is None:
        return None
    return HandedRelease(
        slot=slot.name,
        revision=slot.release.revision,
        path=str(slot.release.path),
        since=slot.since.isoformat() if slot.since else "",
        ports=tuple(slot.ports),
        sockets=tuple(slot.sockets),
        backends=tuple(
            HandedBackend(
                port=backend.target.address.port,
                socket=str(backend.target.address.path or ""),
                pid=backend.process.pid,
                pidfd=backend.process.pidfd,
                outputs=backend.process.outputs,
                mark=backend.process.env_marker,
            )
            for backend in slot.backends
            if backend.is_alive
        ),
        processes=handed_processes.hand_over(site.processes.instances),
        results=handed_results.hand_over(slot.results),
    )
