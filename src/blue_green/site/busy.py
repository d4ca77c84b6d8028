"""Whether a backend that does not answer a probe may just be busy with requests.

A server whose workers are all busy answers a probe only after its earlier requests. So an
unanswered probe proves nothing while a request that is older than the probe waits for its response,
or while a response is being sent. That has a limit: a request that has waited for
`response_timeout`, or a connection that has been idle for that long, is no sign of work.

The kernel knows how long a TCP connection has been idle (`tcp_info` in linux/tcp.h), so the request
path need not measure it. For Unix sockets, the progress of each request is noted at each probe.
"""

import fcntl
import math
import socket
import struct
import termios
from enum import Enum

import trio

from blue_green.routing.lease import Lease, Target

SENT_AND_RECEIVED = struct.Struct("44xI4xI")
"""From `tcp_info`: milliseconds since data was last sent, and last received."""

Progress = tuple[bool, int]
"""Whether the response has begun, and how many bytes of it the client was sent."""


class Activity(Enum):
    """What a backend was doing when it did not answer a probe, judged by its requests."""

    IDLE = "idle"
    """It had no requests."""
    BUSY = "busy"
    """It may not have got round to the probe yet."""
    STALLED = "stalled"
    """It has requests, and has made no progress for too long."""


class Workload:
    """The requests of a target since it last answered a probe."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._before: set[Lease] = set()
        """The leases that are older than the current probe."""
        self._progress: dict[Lease, tuple[Progress, float]] = {}
        """On a Unix socket: how far each of these leases has come, and since when."""
        self.probe_answered()

    def begin_probe(self) -> None:
        self._before = set(self._target.leases)
        if self._target.address.path is not None:
            self._note_progress()

    def probe_answered(self) -> None:
        """Requests that were given up or overdue before did not keep it from answering."""
        self._answered_at = self._alive_at = trio.current_time()
        self._responses = self._target.responses
        self._given_up, self._overdue = self._target.given_up, self._target.overdue

    def activity(self, response_timeout: float, patience: float = math.inf) -> Activity:
        """What the target was doing when it did not answer the current probe.

        It may be busy for `patience` seconds without responding to anything.
        """
        if self._target.overdue != self._overdue:
            return Activity.STALLED
        older = self._before & self._target.leases
        has_work = older or self._target.given_up != self._given_up
        if has_work and self._seconds_mute(older, patience) >= patience:
            return Activity.STALLED
        if any(self._seconds_idle(lease) < response_timeout for lease in older):
            return Activity.BUSY
        if self._target.given_up == self._given_up:
            return Activity.IDLE
        # A client has gone away: the backend may still be working on its request.
        since = trio.current_time() - self._answered_at
        return Activity.BUSY if since < response_timeout else Activity.STALLED

    def _seconds_mute(self, older: set[Lease], patience: float) -> float:
        """Seconds since it last responded, or one of these requests last made progress."""
        now = trio.current_time()
        responses, self._responses = self._responses, self._target.responses
        if responses != self._target.responses or any(
            lease.waits_for_client and self._seconds_idle(lease) < patience for lease in older
        ):
            self._alive_at = now
        return now - self._alive_at

    def _note_progress(self) -> None:
        known, now = self._progress, trio.current_time()
        self._progress = {}
        for lease in self._before:
            progress = (lease.has_begun, lease.sent)
            before, since = known.get(lease, (progress, now))
            self._progress[lease] = (progress, since if before == progress else now)

    def _seconds_idle(self, lease: Lease) -> float:
        """Seconds since the backend last made progress with a request, as far as can be seen.

        While the client does not read the response, the backend is not to blame.
        """
        if lease.sock is None:
            return 0.0  # We are still connecting, which has a time limit of its own.
        try:
            if lease.has_begun and _is_readable(lease.sock):
                return 0.0
            if lease not in self._progress:
                return _seconds_quiet(lease.sock, has_begun=lease.has_begun)
            if lease.is_uploading:
                return 0.0  # That has time limits of its own.
            return trio.current_time() - self._progress[lease][1]
        except OSError:
            return float("inf")  # The socket is closed, and the lease is about to end.


def _seconds_quiet(sock: socket.socket, *, has_begun: bool) -> float:
    """Seconds since a TCP connection last received data, or sent it if no response has begun."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, SENT_AND_RECEIVED.size)
    sent, received = SENT_AND_RECEIVED.unpack(info)
    return float(received if has_begun else sent) / 1000


def _is_readable(sock: socket.socket) -> bool:
    unread: int = struct.unpack("i", fcntl.ioctl(sock, termios.FIONREAD, b"\0" * 4))[0]
    return unread > 0
