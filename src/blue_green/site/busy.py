"""Whether a backend that gives a probe no answer may merely be busy with requests.

A server with one worker, or whose workers all have work, answers a probe when it is done with
what it had before. So a probe without an answer proves nothing while a request that is older than
the probe has not been answered, or while the answer to one is under way. There is an end to that:
a request that has waited for `response_timeout`, or a connection on which nothing has moved for
that long, excuses nothing any more.

How long nothing has moved, the kernel knows (`tcp_info` in linux/tcp.h), so requests that pass
need not be timed.
"""

import fcntl
import socket
import struct
import termios
from enum import Enum

import trio

from blue_green.routing.lease import Lease, Target

SENT_AND_RECEIVED = struct.Struct("44xI4xI")
"""From `tcp_info`: milliseconds since data was last sent, and last received."""


class Excuse(Enum):
    """What the requests of a backend say about a probe that it did not answer."""

    NONE = "none"
    """It had nothing else to do."""
    BUSY = "busy"
    """It may have had no time for the probe yet."""
    OVERDUE = "overdue"
    """It had something to do, and has not got on with it for too long."""


class Work:
    """What a target had to do since it last answered a probe."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._before: set[Lease] = set()
        """The leases that are older than the current probe."""
        self.probe_answered()

    def begin_probe(self) -> None:
        self._before = set(self._target.leases)

    def probe_answered(self) -> None:
        """Whatever is given up or overdue by now did not keep it from answering."""
        self._answered_at = trio.current_time()
        self._given_up, self._overdue = self._target.given_up, self._target.overdue

    def excuse(self, response_timeout: float) -> Excuse:
        """For a probe that was not answered."""
        if self._target.overdue != self._overdue:
            return Excuse.OVERDUE
        older = self._before & self._target.leases
        if any(_quiet(lease) < response_timeout for lease in older):
            return Excuse.BUSY
        if self._target.given_up == self._given_up:
            return Excuse.NONE
        # A client has gone without its answer: the backend may be at work on it all the same.
        since = trio.current_time() - self._answered_at
        return Excuse.BUSY if since < response_timeout else Excuse.OVERDUE


def _quiet(lease: Lease) -> float:
    """Seconds for which the backend has not got on with a request, as far as can be seen.

    While its client does not take what has come of the answer, that is not the backend's doing.
    """
    if lease.sock is None:
        return 0.0  # It is still being dialled, which has a time limit of its own.
    try:
        info = lease.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, SENT_AND_RECEIVED.size)
        sent, received = SENT_AND_RECEIVED.unpack(info)
        if not lease.has_begun:
            return float(sent) / 1000
        return 0.0 if _is_readable(lease.sock) else float(received) / 1000
    except OSError:
        return float("inf")  # It is closed: the lease ends in this moment.


def _is_readable(sock: socket.socket) -> bool:
    unread: int = struct.unpack("i", fcntl.ioctl(sock, termios.FIONREAD, b"\0" * 4))[0]
    return unread > 0
