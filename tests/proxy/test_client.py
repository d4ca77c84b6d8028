"""The states of a client connection, and what ends it."""

import socket
from collections.abc import Callable, Iterator

import pytest

from blue_green.http.errors import ErrorResponse
from blue_green.http.request import read_request
from blue_green.http.transport import Transport
from blue_green.proxy.client import REPLACED, Client
from blue_green.proxy.client_state import ClientState
from blue_green.proxy.end_reason import EndReason
from blue_green.proxy.quiesce import may_move
from blue_green.proxy.remote import Remote, Trust
from blue_green.routing.lease import Outcome

REQUEST = read_request(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
SLOW = ErrorResponse(504, "slow")


@pytest.fixture
def client() -> Iterator[Client]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        client = Client(Transport(ours), Remote("192.0.2.1", trust=Trust(())))
        client.await_request(timeout=60)
        yield client


def test_a_client_may_be_evicted_while_we_wait_for_it_and_at_no_other_time(client: Client) -> None:
    assert (client.is_idle, client.may_be_evicted) == (True, True)
    client.begin_request(REQUEST)
    assert (client.is_idle, client.may_be_evicted) == (False, False)
    client.begin_response()
    client.begin_close(timeout=1)
    assert (client.is_idle, client.may_be_evicted) == (False, True)


def test_a_client_may_be_evicted_while_it_is_slow_to_read(client: Client) -> None:
    client.begin_request(REQUEST)
    client.begin_response()
    client.await_client(timeout=60)
    slow = client.may_be_evicted
    client.stop_waiting()
    assert (slow, client.may_be_evicted) == (True, False)


def test_a_request_may_move_to_another_process_until_a_backend_has_it(client: Client) -> None:
    assert may_move(client)
    client.begin_head(60, SLOW)
    assert may_move(client)
    client.begin_request(REQUEST)
    assert (may_move(client), client.is_in_flight) == (False, True)
    client.begin_hold()
    assert (may_move(client), client.is_in_flight) == (True, False)
    client.end_hold()
    assert (may_move(client), client.is_in_flight) == (False, True)


def test_a_stream_is_not_in_flight(client: Client) -> None:
    client.begin_request(REQUEST)
    client.begin_response()
    assert client.is_in_flight
    client.begin_events()
    assert (client.is_in_flight, client.is_stream, client.is_in_request) == (False, True, True)
    client.begin_tunnel()
    assert (client.is_in_flight, client.is_stream, client.is_in_request) == (False, True, False)


def test_a_disconnect_ends_a_request_and_not_a_tunnel(client: Client) -> None:
    client.begin_request(REQUEST)
    client.begin_tunnel()
    client.disconnect()
    assert client.ended_by is None


def test_a_disconnect_before_the_request_was_read_ends_it_when_it_begins(client: Client) -> None:
    client.disconnect()
    assert client.ended_by is None
    client.begin_request(REQUEST)
    assert client.ended_by is EndReason.DISCONNECTED


def test_a_timeout_sends_the_response_that_was_set_with_it(client: Client) -> None:
    client.begin_request(REQUEST)
    client.await_backend(10, SLOW)
    client.time_out()
    assert (client.final_error, client.final_outcome) == (SLOW, Outcome.OVERDUE)
    assert client.scope.cancel_called


def test_the_first_reason_to_end_it_counts(client: Client) -> None:
    client.begin_request(REQUEST)
    client.await_backend(10, SLOW)
    client.time_out()
    client.cut()
    client.set_timeout(10, None, Outcome.ABORTED)
    client.disconnect()
    assert (client.ended_by, client.final_error) == (EndReason.TIMED_OUT, SLOW)
    assert client.final_outcome is Outcome.OVERDUE


def test_once_the_response_has_begun_neither_side_of_the_upload_limits_it(client: Client) -> None:
    client.begin_request(REQUEST)
    client.begin_response()
    client.await_body(1, SLOW)
    client.await_backend(1, SLOW)
    assert client.deadline == float("inf")


@pytest.mark.parametrize(
    "transition",
    [
        pytest.param(lambda client: client.await_request(timeout=60), id="the next request"),
        pytest.param(lambda client: client.begin_response(), id="a response"),
        pytest.param(lambda client: client.begin_tunnel(), id="a tunnel"),
        pytest.param(lambda client: client.begin_error(timeout=1), id="another error"),
    ],
)
def test_an_error_for_a_cancelled_request_is_not_sent_after_something_else(
    client: Client, transition: Callable[[Client], None]
) -> None:
    client.begin_request(REQUEST)
    client.cut()
    transition(client)
    assert client.final_error is None


@pytest.mark.parametrize(
    ("state", "error"),
    [
        (ClientState.AWAITING_REQUEST, None),
        (ClientState.IN_REQUEST, REPLACED),
        (ClientState.HELD, REPLACED),
        (ClientState.RESPONDING, None),
        (ClientState.TUNNEL, None),
    ],
)
def test_only_a_request_without_a_response_gets_an_error_when_it_is_cut(
    client: Client, state: ClientState, error: ErrorResponse | None
) -> None:
    client.state = state
    assert client.cut()
    assert (client.final_error, client.final_outcome) == (error, Outcome.CUT)
