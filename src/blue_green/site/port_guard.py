"""Whether a backend's port was opened by the backend itself, and by nobody else who is here.

Until it was, no answer from there counts. Later on it is enough that a socket which was found to
be its own is still held by the same descriptor: as long as it listens, nobody else can have its
address. It might be kept and listen no more, so now and then all is looked at anew. Not each time:
to say who listens on a machine takes the kernel milliseconds.
"""

from pathlib import Path

import trio

from blue_green.source.failure import PortTaken
from blue_green.system import port_holders
from blue_green.system.process import Process

LOOK_ANEW = 10
"""After so many looks all is looked at anew."""
ADVICE = 'if it belongs to the app: port_opened_by = "anyone" in [app]'


class Usurped(PortTaken):
    """Somebody else takes the connections to the port; str() says who."""


class PortGuard:
    """Knows whose the sockets are that take connections to one port of a backend."""

    def __init__(self, port: int, process: Process, uid: int) -> None:
        """The backend's process runs as this user."""
        self._port = port
        self._process = process
        self._uid = uid
        self._held: dict[int, Path] = {}
        """The sockets that take its connections, each with a descriptor of its own for it."""
        self._looks = 0

    async def look(self) -> str:
        """Nothing if the port is the backend's, or why that is not sure; raise `Usurped`."""
        try:
            return await trio.to_thread.run_sync(self._look)
        except OSError as error:
            return f"who listens on port {self._port} cannot be seen: {error.strerror}"

    def _look(self) -> str:
        self._looks += 1
        is_known = bool(self._held) and all(
            port_holders.is_held(*one) for one in self._held.items()
        )
        if is_known and self._looks % LOOK_ANEW:
            return ""
        self._held = {}
        there = port_holders.reached_by(self._port, port_holders.on_tcp())
        if not there:
            return f"no process here listens on port {self._port}: {ADVICE}"
        mark, leader = self._process.mark, self._process.pid
        owned = port_holders.sockets_of(mark, leader, self._uid)
        for one in there:
            # Where we may not look, who opened it must do: nobody can open one as somebody else.
            if one.inode not in owned.inodes and (owned.is_complete or one.uid != self._uid):
                raise Usurped(f"{port_holders.described(one)}, and not by the app: {ADVICE}")
        self._held = {
            one.inode: owned.inodes[one.inode] for one in there if one.inode in owned.inodes
        }
        return ""
