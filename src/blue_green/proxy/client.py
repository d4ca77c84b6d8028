"""A client connection as a state machine: its state, its deadline, and why it was ended.

Every transition is a method here, and so is every question that others ask: may it be closed in
favour of a new connection, can an upgrade take it along, is its request in flight?

A timeout, a client that disconnects, and a backend that must stop all cancel the connection. So
there is one cancel scope, and a note of what to respond if it is cancelled.

The deadline changes several times in each request and nearly always is cleared long before it
passes. So it is a number and not a timer: one task looks at all of them now and then (`Listener`).

HTTP/1.1 has one of these per connection. HTTP/2, with many requests on one connection, has another
one for each of them, with the same `remote`.
"""

import time
from collections.abc import Callable

import trio

from blue_green.http.errors import ErrorResponse
from blue_green.http.request import Request
from blue_green.http.transport import Transport
from blue_green.proxy.client_state import IN_REQUEST, READING, RESPONSE_BEGUN, STREAMS, ClientState
from blue_green.proxy.end_reason import LEFT, EndReason
from blue_green.proxy.held_body import HeldBody
from blue_green.proxy.remote import Remote
from blue_green.proxy.served_site import ServedSite
from blue_green.routing.lease import Outcome

NEVER = float("inf")
REPLACED = ErrorResponse(502, "The backend was replaced before it responded.")


# Python 3.11 looks members of an enum up ten times as slowly as names of a module.
_AWAITING_REQUEST = ClientState.AWAITING_REQUEST
_IN_REQUEST = ClientState.IN_REQUEST
_RESPONDING = ClientState.RESPONDING
_ABORTED, _OVERDUE = Outcome.ABORTED, Outcome.OVERDUE


NO_SCOPE = trio.CancelScope()
"""Of a request that no task serves: cancelling it does nothing."""


class Client:
    """One client connection and its current request."""

    def __init__(
        self,
        transport: Transport,
        remote: Remote,
        *,
        redirects: bool = False,
        is_one_of_many: bool = False,
    ) -> None:
        # Python 3.11 reads attributes more slowly that have a default in the class.
        self.transport = transport
        self.remote = remote
        self.redirects = redirects
        """It is connected to an address that only redirects to https."""
        self.is_one_of_many = is_one_of_many
        """It is a request on a connection that is a client of its own."""
        self.state = _AWAITING_REQUEST
        self.scope = NO_SCOPE if is_one_of_many else trio.CancelScope()
        self.deadline = NEVER
        """When to end the connection, on the clock of `time.monotonic`."""
        self.timeout_response: ErrorResponse | None = None
        """What to send when the deadline passes; None: nothing."""
        self.timeout_outcome = _ABORTED
        """How its lease ends when the deadline passes."""
        self.ended_by: EndReason | None = None
        """Set when it is cancelled, with the next two. The first reason counts."""
        self.final_error: ErrorResponse | None = None
        """What to send after it was cancelled; None: nothing. A response that begins all the same,
        since the task did not notice the cancellation before, takes its place."""
        self.final_outcome = _ABORTED
        """How its lease ends after it was cancelled."""
        self.served = False
        """It has sent at least one request."""
        self.request: Request | None = None
        """The current request."""
        self.site: ServedSite | None = None
        """The site of the current request, once it is known."""
        self.head = b""
        """What has arrived of the current request's head, or all of it."""
        self.awaited_since = NEVER
        """When we began to wait for the client and for nothing else (`time.monotonic`)."""
        self.held_since = NEVER
        """When its request began to wait at the gate (`time.monotonic`)."""
        self.received: HeldBody | None = None
        """The body of a request that waits at the gate, if it was received already."""
        self.requests: set[Client] = set()
        """The requests of a connection that can have many at a time, as clients of their own."""
        self.on_last_requests: Callable[[], None] | None = None
        """Called when the connection is to end with the requests that have been sent already."""
        self.sends_last_requests = False
        """It knows that it has to send no more requests: none is on its way."""
        self._has_disconnected = False

    def enter(self, scope: trio.CancelScope) -> None:
        """Let whatever ends it, or has ended it already, cancel this scope."""
        self.scope = scope
        if self.ended_by is not None:
            scope.cancel()

    # --- the deadline ---

    def set_timeout(
        self, seconds: float, response: ErrorResponse | None, outcome: Outcome
    ) -> float:
        """End the connection after this time, with this response and outcome; return the time."""
        now = time.monotonic()
        self.deadline = now + seconds
        self.timeout_response = response
        self.timeout_outcome = outcome
        return now

    def clear_timeout(self) -> None:
        self.deadline = NEVER

    def shorten_timeout(self, seconds: float) -> None:
        """Move the deadline to so many seconds from now, unless it is earlier."""
        self.deadline = min(self.deadline, time.monotonic() + seconds)

    def await_backend(self, timeout: float, too_slow: ErrorResponse) -> None:
        """Wait for the backend, up to `timeout` seconds unless its response has begun."""
        self.awaited_since = NEVER
        if self.state not in RESPONSE_BEGUN:
            self.set_timeout(timeout, too_slow, _OVERDUE)

    def await_body(self, timeout: float, stalled: ErrorResponse | None) -> None:
        """Wait for the request's body, up to `timeout` seconds unless the response has begun."""
        self.awaited_since = time.monotonic()
        if self.state not in RESPONSE_BEGUN:
            self.set_timeout(timeout, stalled, Outcome.ABORTED)

    def await_client(self, timeout: float) -> None:
        """Wait only for the client, for up to `timeout` seconds."""
        self.awaited_since = self.set_timeout(timeout, None, Outcome.ABORTED)

    def stop_waiting(self) -> None:
        self.awaited_since = NEVER

    # --- the transitions, in the order in which they happen ---

    def await_request(self, timeout: float) -> None:
        """Wait for the first request, or for the next one after a response."""
        self.state = _AWAITING_REQUEST
        self.final_error = None  # It belongs to the last request.
        self.request = None
        self.site = None
        self.head = b""
        self.awaited_since = self.set_timeout(timeout, None, _ABORTED)

    def begin_head(self, timeout: float, too_slow: ErrorResponse) -> None:
        """Part of a head has arrived; the rest must arrive within this time."""
        self.state = ClientState.READING_HEAD
        self.set_timeout(timeout, too_slow, Outcome.ABORTED)

    def begin_request(self, request: Request) -> None:
        """A whole head has arrived. From now on a disconnect ends the request."""
        self.state = _IN_REQUEST
        self.request = request
        self.served = True
        self.deadline = self.awaited_since = NEVER
        if self._has_disconnected:
            self._end(EndReason.DISCONNECTED, None, Outcome.ABORTED)

    def begin_multiplexing(self) -> None:
        """The first of several requests has begun: from now on each has its own state."""
        self.state = ClientState.MULTIPLEXED
        self.served = True
        self.deadline = self.awaited_since = NEVER

    def begin_hold(self, received: HeldBody | None = None) -> None:
        """The request waits at the gate, perhaps with a body that was received already."""
        self.state = ClientState.HELD
        self.received = received
        self.held_since = time.monotonic()

    def end_hold(self) -> None:
        self.state = ClientState.IN_REQUEST
        self.received = None
        self.held_since = NEVER

    def begin_response(self) -> None:
        """The final response begins: from now on no other one can be sent."""
        self.state = _RESPONDING
        self.final_error = None
        self.deadline = NEVER

    def begin_events(self) -> None:
        """The response is an event stream."""
        self.state = ClientState.STREAMING

    def begin_tunnel(self) -> None:
        """Relay bytes both ways. If the client closes its sending side, the other continues."""
        self.state = ClientState.TUNNEL
        self.final_error = None
        self.deadline = NEVER

    def begin_error(self, timeout: float) -> None:
        """The handler is done, and an error is sent within this time."""
        self.state = ClientState.REFUSING
        self.final_error = None
        self.set_timeout(timeout, None, Outcome.ABORTED)

    def begin_close(self, timeout: float) -> None:
        """All is sent. The client has this time to read it and to close its side."""
        self.state = ClientState.CLOSING
        self.await_client(timeout)

    @property
    def can_announce(self) -> bool:
        """Whether it can be asked to send no more requests, and then ends without losing any."""
        return self.on_last_requests is not None

    def announce_last_requests(self) -> None:
        """Ask a client that can send many requests at a time to send no more on this connection."""
        if self.on_last_requests is not None:
            self.on_last_requests()

    # --- ending it before its time: each cancels the scope ---

    def time_out(self) -> None:
        """The deadline has passed."""
        self._end(EndReason.TIMED_OUT, self.timeout_response, self.timeout_outcome)

    def disconnect(self) -> None:
        """The client will send nothing more, which ends a request and nothing else."""
        self._has_disconnected = True
        if self.is_in_request:
            self._end(EndReason.DISCONNECTED, None, Outcome.ABORTED)

    def abandon(self, reason: EndReason) -> None:
        """The client has given up what it had, a tunnel among it."""
        self._has_disconnected = True
        self._end(reason, None, Outcome.ABORTED)

    def evict(self) -> None:
        """Make room for a new connection, at once and without a response."""
        self._end(EndReason.EVICTED, None, Outcome.ABORTED)

    def cut(self) -> bool:
        """End the request, whose backend has to stop; True, since the client loses it."""
        response = REPLACED if self.state in (ClientState.IN_REQUEST, ClientState.HELD) else None
        self._end(EndReason.CUT, response, Outcome.CUT)
        return True

    def shut_down(self) -> None:
        """End a connection that has no request."""
        self._end(EndReason.SHUTDOWN, self.timeout_response, Outcome.ABORTED)

    def _end(self, reason: EndReason, response: ErrorResponse | None, outcome: Outcome) -> None:
        if self.ended_by is None:
            self.ended_by = reason
            self.final_error = response
            self.final_outcome = outcome
            self.scope.cancel()
            for request in list(self.requests):
                request._end(reason, None, outcome)

    # --- what others ask ---

    @property
    def is_idle(self) -> bool:
        """Whether it has no request, and may send one."""
        return self.state in READING

    @property
    def is_in_request(self) -> bool:
        """Whether it has a request whose response is not complete."""
        return self.state in IN_REQUEST

    @property
    def is_in_flight(self) -> bool:
        """Whether it has a request that is not held, and whose response is no stream."""
        return self.state in (ClientState.IN_REQUEST, ClientState.RESPONDING)

    @property
    def is_stream(self) -> bool:
        """Whether it has a tunnel or an event stream, which may last for ever, and nothing else."""
        if self.state is ClientState.MULTIPLEXED:
            return all(request.is_stream for request in self.requests)
        return self.state in STREAMS

    @property
    def is_closing(self) -> bool:
        return self.state is ClientState.CLOSING

    @property
    def is_silent(self) -> bool:
        """Whether we wait for its next request, or for it to close the connection."""
        return self.state in READING or self.state is ClientState.CLOSING

    @property
    def has_left(self) -> bool:
        """Whether it takes nothing more, and nothing else has ended it before."""
        return self._has_disconnected and self.ended_by in LEFT

    @property
    def may_be_evicted(self) -> bool:
        """Whether we wait only for the client."""
        return self.awaited_since < NEVER and self.ended_by is None

    @property
    def has_response(self) -> bool:
        """Whether part of the final response may have been sent, so that no error can be sent."""
        return self.state in RESPONSE_BEGUN

    @property
    def wants_html(self) -> bool:
        """Whether its request accepts HTML, as browsers do."""
        return self.request is not None and self.request.wants_html

    @property
    def wants_head_only(self) -> bool:
        """Whether its method is HEAD (RFC 9110 section 9.3.2), even if the request is malformed."""
        return self.head.lstrip(b"\r\n").startswith(b"HEAD ")
