"""Check that a backend's port was opened by the backend itself, and not by another program.

Until then, no answer from the port counts. Later checks are cheaper: while the backend holds the
descriptor of a socket that was found to be its own and that listens, no other program can have its
address. It might hold the socket without listening any more, so now and then the check is done in
full. Not every time, since the kernel takes milliseconds to list all listening sockets.
"""

from pathlib import Path

from blue_green.source.failure import PortTaken
from blue_green.system import port_holders, threads
from blue_green.system.process import Process

FULL_CHECK_EVERY = 10
"""A full check is done once in this number of checks."""
ADVICE = 'if it belongs to the app: port_opened_by = "anyone" in [app]'


class PortStolen(PortTaken):
    """Another program accepts the connections to the port; str() names it."""


class PortGuard:
    """Checks which process holds the sockets that accept connections to a backend's port."""

    def __init__(self, port: int, process: Process, uid: int) -> None:
        """`uid` is the user that the backend runs as."""
        self._port = port
        self._process = process
        self._uid = uid
        self._held: dict[int, Path] = {}
        """The sockets that accept its connections: inode -> the backend's descriptor for it."""
        self._checks = 0

    async def check(self) -> str:
        """ "" if the port is the backend's, or why that is not certain; raise `PortStolen`."""
        try:
            return await threads.run(self._check)
        except OSError as error:
            return f"cannot see which process listens on port {self._port}: {error.strerror}"

    def _check(self) -> str:
        self._checks += 1
        is_known = bool(self._held) and all(
            port_holders.is_held(*one) for one in self._held.items()
        )
        if is_known and self._checks % FULL_CHECK_EVERY:
            return ""
        self._held = {}
        sockets = port_holders.reached_by(self._port, port_holders.on_tcp())
        if not sockets:
            return f"no process on this machine listens on port {self._port}: {ADVICE}"
        owned = port_holders.sockets_of(self._process.env_marker, self._process.pid, self._uid)
        for one in sockets:
            # Where we may not see the descriptors, the socket's user has to do: no program can
            # open a socket as another user.
            if one.inode not in owned.inodes and (owned.is_complete or one.uid != self._uid):
                raise PortStolen(f"{port_holders.describe(one)}, and not by the app: {ADVICE}")
        self._held = {
            one.inode: owned.inodes[one.inode] for one in sockets if one.inode in owned.inodes
        }
        return ""
