"""Leases: one request's claim on a target, from the gate until it ends."""

import socket
import time
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Protocol

import trio
from attrs import define, field

from blue_green.config.kinds import Endpoint
from blue_green.routing.results import Results

_NOWHERE = Endpoint()
LONG_WAIT = 1.0
"""Seconds of waiting for a client after which an app may have given up because of that."""


class Outcome(Enum):
    """How a lease ended."""

    RESPONDED = "responded"
    RETRIED = "retried"
    """The backend failed before it responded, and the request is sent again."""
    FAILED = "failed"
    """The client got an error, or half a response, because of the backend."""
    OVERDUE = "overdue"
    """The client got an error, because no response began within `response_timeout`."""
    ABORTED = "aborted"
    """The client disconnected, sent something invalid, or was so slow that the backend gave up."""
    CUT = "cut"
    """We ended it, because the drain timeout had passed."""


@define(eq=False)
class Target:
    """An address that requests can be sent to, and its leases."""

    address: Endpoint
    slot: str
    revision: str
    owner: int | None = None
    """The user that must listen there, if it is a Unix socket; None: any."""
    results: Results = field(factory=Results, repr=False)
    """Those of its release, also from its other targets."""
    leases: set["Lease"] = field(factory=set, repr=False)
    lost: trio.Event = field(factory=trio.Event, repr=False)
    """It gets no more requests: it died, or another one is live instead."""
    is_stopping: bool = False
    """We are stopping it, so broken connections are no fault of its."""
    responses: int = 0
    """How many responses it has begun."""
    given_up: int = 0
    """How many requests ended before a response, because the client disconnected or was cut."""
    overdue: int = 0
    """How many requests ended because no response began in time."""
    is_silent: bool = False
    """It has left its last probe unanswered."""
    reuses_connections: bool = True
    """Whether a connection to it is kept for the next request."""
    default_host: bytes = field(init=False, repr=False)
    """The Host for a request without one."""
    _less: trio.Event | None = field(default=None, repr=False, init=False)

    @default_host.default
    def _(self) -> bytes:
        return b"localhost" if self.address.path else str(self.address).encode()

    @property
    def is_static(self) -> bool:
        """There is no backend: the site has only files."""
        return self.address == _NOWHERE

    @property
    def streams(self) -> int:
        """How many of its leases are streams."""
        return sum(lease.is_stream for lease in self.leases)

    @property
    def in_flight(self) -> int:
        """How many of its leases are requests."""
        return len(self.leases) - self.streams

    async def drained(self) -> None:
        """Wait until it has no requests in flight; streams do not count."""
        while self.in_flight:
            await self.lease_ended()

    async def lease_ended(self) -> None:
        """Wait until a lease ends."""
        if self._less is None:  # Another task may wait already, or have given up waiting.
            self._less = trio.Event()
        await self._less.wait()

    def note_lease_ended(self) -> None:
        if self._less is not None:
            self._less.set()
            self._less = None


class LeasedRequest(Protocol):
    """The request that has a lease."""

    @property
    def sent(self) -> int:
        """Bytes of the response's body that the client was sent."""

    @property
    def may_get_stream(self) -> bool:
        """Whether it asks for a stream, whose head may come with its first event."""

    def name_client(self) -> str:
        """The client that it counts for; empty if many clients may have its address."""


class LeaseListener(Protocol):
    """Receives the progress of leases: the gate that gave them."""

    def let_one_more(self) -> None:
        """The target can take one more of the requests that wait."""

    def count(self, outcome: Outcome) -> None:
        """A lease has ended without a response."""


class Lease:
    """One request's claim on a target, from the gate until `end`."""

    __slots__ = (
        "_asked_at", "_began", "_listener", "_status", "client_waits", "cut", "end_stream",
        "held", "is_stream", "is_uploading", "request", "sock", "target",
    )  # fmt: skip

    def __init__(self, listener: LeaseListener, target: Target, held: float) -> None:
        self.target = target
        self.held = held
        """Seconds that the request waited at the gate."""
        self.is_stream = False
        """It may last for ever: a tunnel, such as a WebSocket, or an event stream."""
        self.is_uploading = False
        """The client has not sent the whole request yet."""
        self.client_waits = 0.0
        """Seconds that the backend has waited for the client to send or to read, together."""
        self.cut: Callable[[], bool] | None = None
        """Takes the request away from the target; returns whether the client loses it by that. If
        not, it is sent again. Set by the exchange."""
        self.end_stream: Callable[[], None] | None = None
        """Asks a stream to end soon, in a way that its client sees as a proper end."""
        self.sock: socket.socket | None = None
        """The connection to the target; set by the exchange."""
        self.request: LeasedRequest | None = None
        """Set by the exchange."""
        self._listener = listener
        self._began = False
        self._status = 0
        """Of the response, once that has begun."""
        self._asked_at = time.monotonic()
        """When the target got the request, or the last part of it."""

    @property
    def has_begun(self) -> bool:
        """Whether the response has begun."""
        return self._began

    @property
    def sent(self) -> int:
        """Bytes of the response's body that the client was sent."""
        return self.request.sent if self.request else 0

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self in self.target.leases

    @property
    def waits_for_client(self) -> bool:
        """It waits for the client to send or to read, and not for the app to respond."""
        return self._began or self.is_uploading

    @property
    def unanswered_for(self) -> float:
        """Seconds since the target got the whole request, for whose response it still owes a head.

        0 if it owes none, or if the response may be a stream, whose head may come with its first
        event.
        """
        if self.waits_for_client or (self.request is not None and self.request.may_get_stream):
            return 0.0
        return time.monotonic() - self._asked_at

    def end_upload(self) -> None:
        """The client has sent the whole request, and the target has it."""
        self.is_uploading = False
        self._asked_at = time.monotonic()

    def begin_response(self, status: int, *, is_stream: bool = False) -> None:
        """The response begins: the target can take one more of the requests that wait."""
        if not self._began:
            self._began = True
            self._status = status
            target = self.target
            target.responses += 1
            results = target.results
            seconds = 0.0 if is_stream else time.monotonic() - self._asked_at
            if is_stream:
                results.add_stream(status)
            else:
                results.add(status, seconds)
            if results.limits is not None:
                results.limits.note_response(status, seconds, self.name_client)
            self._listener.let_one_more()

    def become_stream(self, end: Callable[[], None] | None = None) -> None:
        """It is no longer a request: a drain does not wait for it. `end` is its `end_stream`."""
        self.is_stream = True
        self.end_stream = end
        self.target.note_lease_ended()

    def end(self, outcome: Outcome) -> None:
        if outcome is Outcome.FAILED and self.client_waits > LONG_WAIT:
            outcome = Outcome.ABORTED
        self.target.leases.discard(self)
        self.target.note_lease_ended()
        if outcome is not Outcome.RESPONDED:
            self._listener.count(outcome)
            is_failure = outcome in (Outcome.FAILED, Outcome.OVERDUE)
            if is_failure and not (self.is_stream or self.target.is_stopping):
                self._fail(self.target.results)
            if outcome is Outcome.ABORTED and not (self._began or self.target.is_stopping):
                self._give_up(self.target.results)
        # They refer back to this: a cycle, which only the garbage collector would free.
        self.cut = self.request = None
        if not self._began:
            self._began = True
            self.target.given_up += outcome in (Outcome.ABORTED, Outcome.CUT)
            self.target.overdue += outcome is Outcome.OVERDUE
            self._listener.let_one_more()

    def _fail(self, results: Results) -> None:
        results.fail(self._status)
        if results.limits is not None and self._status < 400:  # Otherwise it has failed already.
            results.limits.note_failure(self.name_client)

    def _give_up(self, results: Results) -> None:
        seconds = self.unanswered_for
        results.given_up.observe(seconds)
        if results.limits is not None:
            results.limits.note_given_up(seconds, self.name_client)

    def name_client(self) -> str:
        """The client that it counts for; empty if many clients may have its address."""
        return self.request.name_client() if self.request else ""


def cut(leases: Iterable[Lease]) -> int:
    """Take these requests away from their targets; how many are lost by that."""
    return sum(lease.cut() for lease in list(leases) if lease.cut is not None)


def end_streams(leases: Iterable[Lease]) -> int:
    """Ask these streams to end, properly where that is possible; how many there were."""
    count = 0
    for lease in list(leases):
        if (end := lease.end_stream or lease.cut) is not None:
            end()
            count += 1
    return count
