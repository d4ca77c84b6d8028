"""Upgrade in place: the installed program takes over without downtime.

First the new program is tried beside this one: if it cannot be loaded, or rejects the settings,
nothing has happened. Then no swap and no pull may begin, and requests in flight may finish while
others are served. After that, new requests wait in the kernel until the last ones have finished and
the new program has started. Streams are closed at the last moment, and so are TLS connections,
whose clients were told not to reuse them. The new program gets the listening sockets, the live
backends, and the connections of all waiting clients.
"""

import logging
import sys
from pathlib import Path
from typing import Any

import trio

from blue_green import __version__
from blue_green.control.server import Refusal, Send
from blue_green.proxy import quiesce
from blue_green.proxy.listener import Listener
from blue_green.site.draining import close_streams, requests_of, still_in_flight, until_ended
from blue_green.site.site import Site
from blue_green.site.sites import Sites
from blue_green.site.slot import Slot
from blue_green.supervisor.startup import Listening
from blue_green.system import command, handover, log, process, systemd, users
from blue_green.system.handover import HandedBackend, HandedRelease, Handover
from blue_green.system.printable import counted
from blue_green.system.process import CannotStart

logger = logging.getLogger(__name__)

HOLDER = "upgrade"
TRIAL = "--trial"
TRIAL_TIMEOUT = 30.0
STREAMS_TO_END = 1.0
"""Seconds in which streams may end properly. All clients wait for them."""
QUIESCE_TIMEOUT = 5.0
"""Seconds that clients may wait for requests that began at the last moment."""


class Upgrade:
    """Hands this process over to the installed program."""

    def __init__(
        self, sites: Sites, site: Site, listener: Listener, listening: Listening, lock: int
    ) -> None:
        """`lock` is the descriptor of the lock file."""
        self._sites = sites
        self._site = site
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
            argv = [sys.executable, *sys.orig_argv[1:]]
            await _try(argv)
            async with self._site.queue.lock, self._site.watch.lock:
                await self._finish_requests()
                await self._site.notify.finish()  # Its command would be ended as an orphan.
                try:
                    async with self._listener.at_rest(QUIESCE_TIMEOUT) as clients:
                        self._site.gate.hold(HOLDER)
                        await self._site.save()
                        if not self._site.queue.is_idle:
                            raise Refusal("a swap was requested: upgrade when it has ended")
                        await self._close_streams()
                        await send({"event": "upgrading", "program": __version__})
                        self._hand_over(argv, quiesce.hand_over(clients))
                except trio.TooSlowError:
                    raise Refusal(
                        f"the last requests took more than {QUIESCE_TIMEOUT:g} s: try again later"
                    ) from None
                finally:
                    self._site.gate.resume(HOLDER)

    async def _finish_requests(self) -> None:
        """Let requests in flight finish while new ones are served; do not wait for streams."""
        await self._site.retirement.finish()
        live, timeout = self._site.slots.live, self._site.settings.swap.drain_timeout
        requests = requests_of(live.targets) if live else []
        with trio.move_on_after(timeout):
            await until_ended(requests)
        if left := sum(lease.is_open and not lease.is_stream for lease in requests):
            raise Refusal(still_in_flight(left, timeout))

    async def _close_streams(self) -> None:
        """Close all streams at once: no client can reconnect before the new program runs."""
        if (live := self._site.slots.live) is not None:
            await close_streams(live.targets, 0.0, close_timeout=STREAMS_TO_END)

    def _hand_over(self, argv: list[str], clients: tuple[handover.HandedClient, ...]) -> None:
        slots = self._site.slots
        inherited = systemd.inherited_descriptors() if self._listening.from_systemd else ()
        everything = Handover(
            program=__version__,
            lock=self._lock,
            sockets=self._listening.named(self._sites.settings),
            file_limit=process.file_limit,
            live=_live(slots.live) if slots.live else None,
            clients=clients,
        )
        logger.info("upgrading: handing over %s", counted(len(clients), "connection"))
        systemd.notify_reloading()
        log.flush()
        try:
            handover.hand_over(everything, argv, inherited)
        except OSError as error:
            systemd.notify("READY=1")
            raise Refusal(f"cannot execute {argv[0]}: {error.strerror}") from None


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


def _live(slot: Slot) -> HandedRelease | None:
    if slot.release is None:
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
    )
