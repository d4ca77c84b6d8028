"""Connections to the backends: dialled, kept for the next request, and given up.

What may be sent again after a failure:

- Anything, if the dial failed: nothing of it can have been executed.
- Once, a request that is safe, has no body, and of whose answer not one byte has come.

A connection is kept only after an answer that ended where it said. It is not used again if it has
become readable meanwhile: then the backend closed it, or said something that nobody asked. A
request that may not be sent again is only put on a connection that was used just now, since the
backend might close an older one in that very moment.
"""

import os
import select
import socket
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress

import trio

from blue_green.http import fast_path
from blue_green.http.heads import split_head
from blue_green.http.request import Request
from blue_green.http.response import MAX_HEAD, BadResponse, Response, read_response
from blue_green.http.transport import Transport, dial
from blue_green.routing.lease import Target

MAX_IDLE = 256
FRESH = 1.0
"""Seconds for which a backend is trusted not to close an idle connection."""
MAX_INTERIM = 50
"""Interim answers (1xx) before one that is final."""
DIAL_TIMEOUT = 5.0
LONGEST_NAP = 1.0
"""Seconds in which it is noticed that connections may be idle for less long than before."""


class Unreachable(Exception):
    """The backend could not be dialled: nothing was sent to it."""


class UpstreamError(Exception):
    """The backend failed after something was sent to it."""

    def __init__(self, why: str, *, before_response: bool) -> None:
        super().__init__(why)
        self.before_response = before_response
        """Not one byte of an answer had come."""


class Upstream:
    """One connection to a target."""

    __slots__ = ("_poll", "has_no_response", "idle_since", "target", "transport")

    def __init__(self, target: Target, transport: Transport) -> None:
        self.target = target
        self.transport = transport
        self.idle_since = 0.0
        self.has_no_response = True
        """Not one byte has come since it was taken."""
        self._poll = select.poll()
        self._poll.register(transport.sock, select.POLLIN)

    def is_quiet(self) -> bool:
        """Whether it is open and nothing has come: what an idle connection should be."""
        return not self.transport.closed and not self._poll.poll(0)

    def break_off(self) -> None:
        """Let whoever reads or sends here see the end of the connection."""
        with suppress(OSError):  # It has ended already.
            self.transport.sock.shutdown(socket.SHUT_RDWR)

    async def read_response(self, request: Request) -> Response:
        """The next answer head, judged; raise `UpstreamError` if there is none."""
        transport, data = self.transport, b""
        while True:
            try:
                if not transport.buffer:
                    await transport.readable()
                more = transport.try_receive()
            except OSError as error:
                why = f"its connection failed: {error.strerror}"
                raise UpstreamError(why, before_response=self.has_no_response) from None
            if more is None:
                continue
            if not more:
                why = "it closed the connection within the head of its answer"
                if self.has_no_response:
                    why = "it closed the connection before it answered"
                raise UpstreamError(why, before_response=self.has_no_response)
            self.has_no_response = False
            known = len(data)
            data += more
            end = data.find(b"\r\n\r\n", known - 3 if known > 3 else 0) + 4
            answer = fast_path.read_response(data[:end], request) if 4 <= end <= MAX_HEAD else None
            if answer is not None:
                transport.buffer = data[end:] + transport.buffer
                return answer
            try:
                parts = split_head(data, known)
                if parts and len(parts[0]) <= MAX_HEAD:
                    head, rest = parts
                    transport.buffer = rest + transport.buffer
                    return read_response(head, request)
            except (BadResponse, ValueError) as error:
                raise UpstreamError(
                    f"its answer is not HTTP: {error}", before_response=False
                ) from None
            if len(data) > MAX_HEAD:
                raise UpstreamError(
                    f"its answer's head is over {MAX_HEAD} bytes", before_response=False
                )


class Pool:
    """The idle connections to each target, the one used last to be used first."""

    def __init__(self, keepalive: float) -> None:
        self.keepalive = keepalive
        """Seconds after which an idle connection is closed; 0: after each answer."""
        self._idle: dict[Target, deque[Upstream]] = {}

    async def run(self) -> None:
        """Close what has been idle for too long, until cancelled, and then all that is idle."""
        try:
            while True:
                await trio.sleep(self._close_the_old())
        finally:
            self.forget(list(self._idle))

    def _close_the_old(self) -> float:
        """Close what has been idle for too long; seconds until there may be more of it."""
        now = time.monotonic()
        wait = self.keepalive or LONGEST_NAP
        for idle in self._idle.values():
            while idle and (left := idle[0].idle_since + self.keepalive - now) <= 0:
                idle.popleft().transport.close()
            if idle:
                wait = min(wait, left)
        return min(wait, LONGEST_NAP)

    def take(self, target: Target, *, may_repeat: bool) -> Upstream | None:
        """An idle connection to this target, if there is a good one."""
        idle = self._idle.get(target)
        while idle:
            upstream = idle.pop()
            is_fresh = may_repeat or time.monotonic() - upstream.idle_since < FRESH
            if is_fresh and upstream.is_quiet():
                upstream.has_no_response = True
                return upstream
            upstream.transport.close()
        return None

    async def dial(self, target: Target) -> Upstream:
        """A new connection to this target; raise `Unreachable`."""
        try:
            with trio.fail_after(DIAL_TIMEOUT):
                return Upstream(target, await dial(target.host, target.port))
        except (OSError, trio.TooSlowError) as error:
            why = "it took no connection in time"
            if isinstance(error, OSError):
                why = os.strerror(error.errno) if error.errno else str(error)
            raise Unreachable(f"{target.host}:{target.port}: {why}") from None

    def give_back(self, upstream: Upstream) -> None:
        """Keep a connection whose answer ended properly for the next request."""
        target = upstream.target
        may_stay = target.reuses_connections and self.keepalive
        if not may_stay or target.lost.is_set() or upstream.transport.buffer:
            upstream.transport.close()
            return
        upstream.idle_since = time.monotonic()
        idle = self._idle.get(target)
        if idle is None:
            idle = self._idle[target] = deque()
        idle.append(upstream)
        if len(idle) > MAX_IDLE:
            idle.popleft().transport.close()

    def forget(self, targets: Iterable[Target]) -> int:
        """Close what is idle to these, which should not have to wait for it; how many they were."""
        count = 0
        for target in targets:
            for upstream in self._idle.pop(target, ()):
                upstream.transport.close()
                count += 1
        return count
