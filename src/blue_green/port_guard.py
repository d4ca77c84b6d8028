"""Whether a backend's port was opened by the backend itself, and by nobody else who is here.

Until it was, no answer from there counts. Later on, the sockets that were found to be its own are
known by their number, so that to look again costs no more than to read who listens at all.
"""

import trio

from blue_green import listening
from blue_green.failure import MachineFault
from blue_green.process import Process

ADVICE = 'if it belongs to the app: port_opened_by = "anyone" in [app]'


class Usurped(MachineFault):
    """Somebody else takes the connections to the port; str() says who."""


class PortGuard:
    """Knows whose the sockets are that take connections to one port of a backend."""

    def __init__(self, port: int, process: Process, uid: int) -> None:
        """The backend's process runs as this user."""
        self._port = port
        self._process = process
        self._uid = uid
        self._known: frozenset[int] = frozenset()

    async def look(self) -> str:
        """Nothing if the port is the backend's, or why that is not sure; raise `Usurped`."""
        try:
            return await trio.to_thread.run_sync(self._look)
        except OSError as error:
            return f"who listens on port {self._port} cannot be seen: {error.strerror}"

    def _look(self) -> str:
        there = listening.reached_by(self._port, listening.on_tcp())
        if not there:
            return f"no process here listens on port {self._port}: {ADVICE}"
        if self._known.issuperset(one.inode for one in there):
            return ""
        mark, leader = self._process.mark, self._process.pid
        owned = listening.sockets_of(mark, leader, self._uid)
        for one in there:
            # Where we may not look, who opened it must do: nobody can open one as somebody else.
            if one.inode not in owned.inodes and (owned.is_complete or one.uid != self._uid):
                raise Usurped(f"{listening.described(one)}, and not by the app: {ADVICE}")
        self._known = frozenset(one.inode for one in there)
        return ""
