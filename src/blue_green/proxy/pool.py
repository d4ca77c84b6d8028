"""Connections to the backends: dialled, kept for the next request, and closed.

What may be sent again after a failure:

- Any request, if the dial failed: no part of it can have been executed.
- Once, a request that is safe, has no body, and got not one byte of a response.

A connection is kept only after a response that ended where its framing says. It is not used again
if it has become readable since: then the backend closed it, or sent something unasked. A request
that may not be sent again only goes on a connection that was used just now, since the backend might
close an older one at that very moment.
"""

import select
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

import trio

from blue_green.http.request import Request
from blue_green.http.response import Response
from blue_green.http.response_reader import ResponseReader, UpstreamError
from blue_green.http.transport import Transport, dial
from blue_green.routing.lease import Target

MAX_IDLE = 256
FRESH = 1.0
"""Seconds for which a backend is assumed not to close an idle connection."""
MAX_INTERIM = 50
"""Interim responses (1xx) before the final one."""
DIAL_TIMEOUT = 5.0
LONGEST_NAP = 1.0
"""Seconds until a shorter `keepalive` takes effect."""


class Unreachable(Exception):
    """No connection to the backend could be made: nothing was sent to it."""


class Upstream:
    """One connection to a target."""

    __slots__ = ("_poll", "idle_since", "reader", "target", "transport")

    def __init__(self, target: Target, transport: Transport) -> None:
        self.target = target
        self.transport = transport
        self.idle_since = 0.0
        self.reader = ResponseReader(transport)
        self._poll = select.poll()
        self._poll.register(transport.sock, select.POLLIN)

    def is_quiet(self) -> bool:
        """Whether it is open and nothing has arrived, as it should be while idle."""
        return not self.transport.closed and not self._poll.poll(0)

    async def final_response(
        self, request: Request, response: Response, relay: Callable[[Response], Awaitable[None]]
    ) -> Response:
        """Relay the interim responses, of which this is the first; return the final one."""
        for _ in range(MAX_INTERIM):
            if response.status >= 200 or response.status == 101:
                return response
            await relay(response)
            response = await self.reader.read(request)
        raise UpstreamError("it never sent a final response", before_response=False)

    def break_off(self) -> None:
        """Make pending reads and sends on it fail."""
        with suppress(OSError):  # It has ended already.
            self.transport.sock.shutdown(socket.SHUT_RDWR)


class Pool:
    """The idle connections to each target. The last one used is the first to be used again."""

    def __init__(self, keepalive: float) -> None:
        self.keepalive = keepalive
        """Seconds after which an idle connection is closed; 0: after each response."""
        self._idle: dict[Target, deque[Upstream]] = {}
        self._first: trio.Event | None = None
        """Set when a connection becomes idle and no other was."""

    async def run(self) -> None:
        """Close connections that have been idle for too long, until cancelled; then close all."""
        try:
            while True:
                if not any(self._idle.values()):  # There may be hundreds of sites without requests.
                    self._first = trio.Event()
                    await self._first.wait()
                await trio.sleep(self._close_old())
        finally:
            self.forget(list(self._idle))

    def _close_old(self) -> float:
        """Close connections that have been idle for too long; seconds until the next one may be."""
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
                upstream.reader.has_begun = False
                return upstream
            upstream.transport.close()
        return None

    async def dial(self, target: Target) -> Upstream:
        """A new connection to this target; raise `Unreachable`."""
        try:
            with trio.fail_after(DIAL_TIMEOUT):
                return Upstream(target, await dial(target.address, target.owner))
        except (OSError, trio.TooSlowError) as error:
            why = "it accepted no connection in time"
            if isinstance(error, OSError):
                why = error.strerror or str(error)
            raise Unreachable(f"{target.address}: {why}") from None

    def take_back(self, upstream: Upstream, *, reusable: bool, is_read: bool = True) -> None:
        """Keep a connection, if it is reusable, or close it.

        Unless it `is_read`, the backend may still have to read what was sent last.
        """
        if reusable:
            self.give_back(upstream)
        elif is_read:
            upstream.transport.abort()
        else:
            upstream.transport.close()

    def give_back(self, upstream: Upstream) -> None:
        """Keep a connection for the next request, after a response that ended properly."""
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
        if self._first is not None:
            self._first.set()
            self._first = None
        if len(idle) > MAX_IDLE:
            idle.popleft().transport.close()

    def forget(self, targets: Iterable[Target]) -> int:
        """Close the idle connections to these targets; how many there were."""
        count = 0
        for target in targets:
            for upstream in self._idle.pop(target, ()):
                upstream.transport.close()
                count += 1
        return count
