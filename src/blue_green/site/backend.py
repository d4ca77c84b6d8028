"""One backend: a process tree that runs a release on one address of a slot."""

import errno
import socket
from collections.abc import Callable, Sequence

import trio
from attrs import evolve

from blue_green.config.kinds import Endpoint
from blue_green.config.placeholders import Placeholders
from blue_green.config.site_settings import AppSettings
from blue_green.routing.lease import Target
from blue_green.site import app_sockets
from blue_green.site.port_guard import PortGuard, PortStolen
from blue_green.site.probe_log_filter import ProbeLogFilter
from blue_green.source.failure import MachineFault, PortTaken, from_errno
from blue_green.source.launch import Launch
from blue_green.source.release import Release
from blue_green.system import port_holders, threads
from blue_green.system.cannot_start import CannotStart
from blue_green.system.output import Output
from blue_green.system.port_holders import ListeningSocket
from blue_green.system.printable import printable_line
from blue_green.system.process import Process, ending
from blue_green.system.tail import Tail
from blue_green.system.users import User

HOST = "127.0.0.1"

EXIT_TIMEOUT = 0.25
"""Seconds to wait for the end of an app with a problem, of which its end would be the real reason:
while an app ends, it responds to no probe, and its socket seems to be another process's."""


class Backend:
    """A running process tree, the address it listens on, and its last lines of output."""

    def __init__(
        self, process: Process, target: Target, settings: AppSettings, output: Output, user: User
    ) -> None:
        self.process = process
        self.target = target
        self.is_up = False
        """It has been healthy, and may be sent requests."""
        self.probe_log_filter = ProbeLogFilter()
        self._settings = settings
        self._user = user
        self._guard: PortGuard | None = None
        """For a port; `dial` checks Unix sockets."""
        if target.address.path is None and settings.port_opened_by == "app":
            self._guard = PortGuard(target.address.port, process, user.uid)
        self._output = output
        self._tail = Tail()

    @classmethod
    def start(
        cls,
        settings: AppSettings,
        release: Release,
        target: Target,
        how: Launch,
        output: Output,
    ) -> "Backend":
        """Start the app; raise `StepFailed` if that fails, or if its port is taken.

        `run` must follow.
        """
        filled = Placeholders(target.slot, release.revision, str(release.path))
        if target.address.path is not None:
            app_sockets.prepare(target.address.path, how.user)
            filled, port = evolve(filled, socket=str(target.address.path)), {}
        else:
            check_is_free(target.address)
            filled = evolve(filled, port=str(target.address.port))
            port = {"PORT": filled.port}
        try:
            process = Process.start(
                filled.fill_in(settings.command),
                cwd=how.directory,
                env={**how.env, **port, **filled.variables},
                user=how.user,
                inherits=True,
            )
        except CannotStart as error:
            raise from_errno(str(error), error.errno) from None
        return cls(process, target, settings, output, how.user)

    async def run(self) -> None:
        """Log the output of the process tree until nothing of it is left."""
        await self.process.run(self._take)

    async def check_port(self) -> str:
        """Raise `PortStolen` if another program has its port; "", or why that is not certain."""
        return await self._guard.check() if self._guard else ""

    async def listening_sockets(self) -> Sequence[ListeningSocket]:
        """The sockets on which it listens, as far as they can be seen."""
        command = (self.process.env_marker, self.process.pid, self._user.uid)
        return await threads.run(port_holders.listening_sockets_of, *command)

    async def describe_listening_sockets(self) -> str:
        """On which sockets it listens, in words, if not on its own."""
        command = (self.process.env_marker, self.process.pid, self._user.uid)
        return await threads.run(port_holders.describe_listening_sockets, *command)

    async def until_lost(self, interval: Callable[[], float]) -> str:
        """Wait until it ends ("") or another program has its port (which one, in words).

        `interval` gives the seconds between two checks of the port.
        """
        while self.is_alive:
            with trio.move_on_after(interval()):
                await self.process.exited.wait()
                return ""
            try:
                await self.check_port()
            except PortStolen as stolen:
                with trio.move_on_after(EXIT_TIMEOUT):
                    await self.process.exited.wait()
                    return ""
                return str(stolen)
        return ""

    async def stop(self) -> None:
        """Stop the whole process tree, gracefully at first; then nothing of it is left."""
        await self.process.stop(self._settings.stop_signal, self._settings.stop_timeout)

    @property
    def is_alive(self) -> bool:
        return not self.process.exited.is_set()

    @property
    def ending(self) -> str:
        """How it ended, in words."""
        return ending(self.process.returncode)

    @property
    def output(self) -> Sequence[str]:
        return self._tail.lines

    def _take(self, lines: list[bytes], is_error: bool) -> None:
        texts = self.probe_log_filter.filter([printable_line(line) for line in lines])
        self._tail.extend(texts)
        self._output.take(self.target.slot, self.target.revision, texts, is_error=is_error)


def check_is_free(address: Endpoint) -> None:
    """Raise `MachineFault` with the name of the program that has this port, if one has.

    Its answers to probes would be mistaken for the candidate's. Nobody else can take a Unix socket.
    """
    error = bind_error(address) if address.path is None else None
    if error is None or isinstance(error, PermissionError):
        return  # A low port may be one that only the app, as another user, may bind.
    if error.errno == errno.EADDRINUSE:
        holder = port_holders.holder_of(address.port)
        raise PortTaken(f"{address.short} is taken: {holder} listens there already")
    raise MachineFault(f"{address.short} cannot be used: {error.strerror}")


def bind_error(address: Endpoint) -> OSError | None:
    """Why we could not listen on this port, if we could not."""
    try:
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((address.host, address.port))
    except OSError as error:
        return error
    return None
