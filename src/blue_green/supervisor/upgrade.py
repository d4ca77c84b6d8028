"""Upgrade in place: the installed program takes over, and nobody notices.

The new program is tried first, beside this one: if it cannot be loaded, or does not like the
settings, nothing has happened. Then no swap and no pull may begin, and the requests that are in
hand now may end while others are served. Only then new ones are kept waiting, in the kernel, for as
long as the last ones take and the new program to start. Streams are ended at the last moment, once,
and so are connections with TLS, whose clients have heard of it. The new program is given the
listening sockets, the live backends, and the connections of all clients that wait.
"""

import logging
import sys
from pathlib import Path
from typing import Any

import trio

from blue_green import __version__
from blue_green.control.server import Refusal, Tell
from blue_green.proxy import quiesce
from blue_green.proxy.listener import Listener
from blue_green.site.draining import close_streams, requests_of, until_ended
from blue_green.site.site import Site
from blue_green.site.slot import Slot
from blue_green.supervisor.startup import Listening
from blue_green.system import command, handover, log, process, systemd, users
from blue_green.system.handover import HandedBackend, HandedRelease, Handover
from blue_green.system.process import CannotStart

logger = logging.getLogger(__name__)

HOLDER = "upgrade"
TRIAL = "--trial"
TRIAL_TIMEOUT = 30.0
STREAMS_TO_END = 1.0
"""Seconds in which streams may end properly. Everybody waits for them."""
LONGEST_REST = 5.0
"""Seconds for which clients are kept waiting by requests that began at the last moment."""


class Upgrade:
    """Hands everything over to the installed program."""

    def __init__(self, site: Site, listener: Listener, listening: Listening, lock: int) -> None:
        """`lock` is the descriptor of the lock file."""
        self._site = site
        self._listener = listener
        self._listening = listening
        self._lock = lock
        self._asked = trio.Event()
        self._in_progress = trio.Lock()

    def ask(self) -> None:
        """Have it done soon, by `run`."""
        self._asked.set()

    async def run(self) -> None:
        """Upgrade when somebody has asked for it, until cancelled."""
        while True:
            await self._asked.wait()
            self._asked = trio.Event()
            try:
                await self.upgrade(_nobody)
            except Refusal as refusal:
                logger.error("no upgrade: %s", refusal)

    async def upgrade(self, tell: Tell) -> None:
        """Do it. Does not return, or raises `Refusal`; then all is as it was."""
        if self._in_progress.locked():
            raise Refusal("an upgrade is on its way already")
        async with self._in_progress:
            argv = [sys.executable, *sys.orig_argv[1:]]
            await _try(argv)
            async with self._site.queue.lock, self._site.watch.lock:
                await self._finish_what_is_in_hand()
                await self._site.notify.finish()  # Its command would be taken for a leftover.
                try:
                    async with self._listener.at_rest(LONGEST_REST) as clients:
                        self._site.gate.hold(HOLDER)
                        await self._site.save()
                        if not self._site.queue.is_idle:
                            raise Refusal("a swap is wanted: upgrade when it is done")
                        await self._end_streams()
                        await tell({"event": "upgrading", "program": __version__})
                        self._hand_over(argv, quiesce.hand_over(clients))
                except trio.TooSlowError:
                    raise Refusal(
                        f"requests that began at the last moment took more than {LONGEST_REST:g} s"
                    ) from None
                finally:
                    self._site.gate.resume(HOLDER)

    async def _finish_what_is_in_hand(self) -> None:
        """Without keeping anybody waiting, and without waiting for streams."""
        await self._site.retirement.finish()
        live, timeout = self._site.slots.live, self._site.settings.swap.drain_timeout
        requests = requests_of(live.targets) if live else []
        with trio.move_on_after(timeout):
            await until_ended(requests)
        if left := sum(lease.is_open and not lease.is_stream for lease in requests):
            were = "request was" if left == 1 else "requests were"
            raise Refusal(f"{left} {were} still in flight after {timeout:g} s")

    async def _end_streams(self) -> None:
        """All at once, since nobody can come back before the new program is there."""
        if (live := self._site.slots.live) is not None:
            await close_streams(live.targets, 0.0, close_timeout=STREAMS_TO_END)

    def _hand_over(self, argv: list[str], clients: tuple[handover.HandedClient, ...]) -> None:
        slots = self._site.slots
        inherited = systemd.inherited_descriptors() if self._listening.from_systemd else ()
        everything = Handover(
            program=__version__,
            lock=self._lock,
            sockets=self._listening.named(self._site.settings),
            file_limit=process.file_limit,
            live=_live(slots.live) if slots.live else None,
            clients=clients,
        )
        logger.info("upgrading: %d connections are taken along", len(clients))
        systemd.notify_reloading()
        log.flush()
        try:
            handover.hand_over(everything, argv, inherited)
        except OSError as error:
            systemd.notify("READY=1")
            raise Refusal(f"cannot execute {argv[0]}: {error.strerror}") from None


async def _nobody(_: dict[str, Any]) -> None:
    """Is told."""


async def _try(argv: list[str]) -> None:
    """Have the installed program load everything, beside us; raise `Refusal` if it cannot."""
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
        backends=tuple(
            HandedBackend(
                port=backend.target.port,
                pid=backend.process.pid,
                pidfd=backend.process.pidfd,
                outputs=backend.process.outputs,
                mark=backend.process.env_marker,
            )
            for backend in slot.backends
            if backend.is_alive
        ),
    )
