"""One backend: a process tree of a release, on one port of a slot."""

import errno
import re
import socket
from collections.abc import Callable, Mapping, Sequence

import trio

from blue_green.config.site_settings import AppSettings
from blue_green.routing.lease import Target
from blue_green.site.port_guard import PortGuard, Usurped
from blue_green.site.probe_log_filter import ProbeLogFilter
from blue_green.source.failure import MachineFault, PortTaken, from_errno
from blue_green.source.release import Release
from blue_green.system import port_holders
from blue_green.system.line_reader import text
from blue_green.system.output import Output
from blue_green.system.port_holders import ListeningSocket
from blue_green.system.process import CannotStart, Process, ending
from blue_green.system.tail import Tail
from blue_green.system.users import User

HOST = "127.0.0.1"


class Backend:
    """A running process tree, the address it serves, and its last lines of output."""

    def __init__(
        self, process: Process, target: Target, settings: AppSettings, output: Output, user: User
    ) -> None:
        self.process = process
        self.target = target
        self.is_up = False
        """It was healthy once, and may be sent requests."""
        self.probe_log_filter = ProbeLogFilter()
        self._settings = settings
        self._user = user
        self._guard = PortGuard(target.port, process, user.uid)
        self._output = output
        self._tail = Tail()

    @classmethod
    def start(
        cls,
        settings: AppSettings,
        *,
        slot: str,
        port: int,
        release: Release,
        user: User,
        env: Mapping[str, str],
        output: Output,
    ) -> "Backend":
        """Start the app; raise `StepFailed` if it cannot be, or if its port is not free.

        To be followed by `run`.
        """
        check_is_free(port)
        filled_in = {
            "port": str(port),
            "slot": slot,
            "revision": release.revision,
            "release": str(release.path),
        }
        told = {
            "PORT": str(port),
            "BLUE_GREEN_PORT": str(port),
            "BLUE_GREEN_SLOT": slot,
            "BLUE_GREEN_REVISION": release.revision,
            "BLUE_GREEN_RELEASE": str(release.path),
        }
        argv = _fill_in(settings.command, filled_in)
        try:
            process = Process.start(
                argv,
                cwd=release.path,
                env={**env, **release.env, **told},
                user=user,
                inherits=True,
            )
        except CannotStart as error:
            raise from_errno(str(error), error.errno) from None
        return cls(process, Target(HOST, port, slot, release.revision), settings, output, user)

    async def run(self) -> None:
        """See the process to its end, and log what it writes."""
        await self.process.run(self._take)

    async def look_at_port(self) -> str:
        """Nothing if it is its own, or why that is not sure; raise `Usurped` if it is another's."""
        return "" if self._settings.port_opened_by == "anyone" else await self._guard.look()

    async def listens_on(self) -> Sequence[ListeningSocket]:
        """The sockets on which it listens, as far as they can be seen."""
        mark, leader = self.process.mark, self.process.pid
        return await trio.to_thread.run_sync(port_holders.of, mark, leader, self._user.uid)

    async def where_it_listens(self) -> str:
        """The same in words, for one that does not listen on its port."""
        mark, leader = self.process.mark, self.process.pid
        return await trio.to_thread.run_sync(port_holders.in_words, mark, leader, self._user.uid)

    async def until_lost(self, every: Callable[[], float]) -> str:
        """Wait until it ends, or somebody else has its port; then it says who.

        `every` gives the seconds between looks at the port.
        """
        while self.is_alive:
            with trio.move_on_after(every()):
                await self.process.exited.wait()
                return ""
            try:
                await self.look_at_port()
            except Usurped as usurped:
                return str(usurped)
        return ""

    async def stop(self) -> None:
        """End the whole process tree, kindly at first; at the end nothing of it is left."""
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
        readable = self.probe_log_filter.without([text(line) for line in lines])
        self._tail.extend(readable)
        self._output.take(self.target.slot, self.target.revision, readable, is_error=is_error)


def _fill_in(command: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """Only the placeholders that are ours: other braces belong to the app."""
    ours = re.compile(r"\{(" + "|".join(values) + r")\}")
    return [ours.sub(lambda match: values[match[1]], word) for word in command]


def check_is_free(port: int) -> None:
    """Raise `MachineFault` if somebody has this port, and say who.

    A program that already answers there would be taken for the candidate.
    """
    try:
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((HOST, port))
    except PermissionError:
        return  # A low port that only the app, as another user, may bind.
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            holder = port_holders.holder(port)
            raise PortTaken(f"port {port} is taken: {holder} listens there already") from None
        raise MachineFault(f"port {port} cannot be used: {error.strerror}") from None
