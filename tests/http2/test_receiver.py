"""Frames of the connection: settings, pings, windows (RFC 9113 sections 6.5 to 6.9)."""

import struct

from h2.errors import ErrorCodes

from blue_green.http2 import frames
from blue_green.http2.events import (
    ClientLeaves,
    DataArrived,
    PingAnswered,
    StreamReset,
    WindowOpened,
)
from blue_green.http2.frames import ACK, DATA, PING, SETTINGS, write_frame
from blue_green.http2.session import CONNECTION_WINDOW
from blue_green.http2.windows import INITIAL_WINDOW
from tests.support.http2_client import (
    OK,
    POST,
    RawClient,
    data,
    number,
    settings,
    window_update,
)


def test_the_first_settings_are_acknowledged_and_ours_say_what_we_allow() -> None:
    """Sections 6.5.3 and 6.5.2."""
    client = RawClient(start=b"")
    greeting, window = client.greeting
    assert greeting.type == SETTINGS
    pairs = dict(struct.iter_unpack(">HL", greeting.payload))
    assert pairs == {1: 4096, 2: 0, 3: 100, 4: 65535, 5: 16384, 6: 16384, 8: 1}
    assert (window.type, window.stream_id) == (frames.WINDOW_UPDATE, 0)
    assert number(window) == CONNECTION_WINDOW - INITIAL_WINDOW
    client.send(frames.PREFACE, settings((3, 1), (4, 100)))
    (ack,) = client.frames()
    assert (ack.type, ack.flags, ack.payload) == (SETTINGS, ACK, b"")


def test_a_ping_is_answered_with_what_it_carries() -> None:
    """Section 6.7."""
    client = RawClient()
    client.send(write_frame(PING, 0, 0, b"12345678"))
    (answer,) = client.frames()
    assert (answer.type, answer.flags, answer.payload) == (PING, ACK, b"12345678")


def test_only_the_answer_to_our_ping_is_reported() -> None:
    client = RawClient()
    client.session.ping()
    (ping,) = client.frames()
    answer = write_frame(PING, ACK, 0, ping.payload)
    assert client.send(write_frame(PING, ACK, 0, b"12345678")) == []
    assert client.send(answer, answer) == [PingAnswered()]


def test_a_client_that_leaves_still_gets_its_responses() -> None:
    """Section 6.8."""
    client = RawClient()
    client.send(client.headers(1))
    leaves = frames.write_goaway(0, ErrorCodes.NO_ERROR, "bye")
    assert client.send(leaves, leaves) == [ClientLeaves()]
    client.respond(1)
    assert [frame.type for frame in client.frames()] == [frames.HEADERS, DATA]


def test_the_window_of_the_connection_may_not_be_overrun() -> None:
    """Section 6.9.1."""
    client = RawClient()
    client.send(client.headers(1, POST, end=False), window_update(0, 2**31 - 1))
    assert client.ended_by() == ErrorCodes.FLOW_CONTROL_ERROR


def test_the_window_of_a_stream_is_overrun_at_the_cost_of_that_stream() -> None:
    client = RawClient()
    client.send(client.headers(1, POST, end=False), client.headers(3, POST, end=False))
    events = client.send(*[data(1, bytes(16384)) for _ in range(4)])
    assert events[-1] == StreamReset(1)
    assert client.resets() == [(1, ErrorCodes.FLOW_CONTROL_ERROR)]
    assert client.send(data(3, b"x")) == [DataArrived(3, b"x")]


def test_more_data_than_the_window_of_the_connection_ends_it() -> None:
    client = RawClient()
    client.session.receive(client.headers(1, POST, end=False))
    client.session.step()
    for _ in range(CONNECTION_WINDOW // 16384):
        client.send(data(1, bytes(16384)))
    assert client.ended_by() is None  # The window of the connection is opened all the time.


def test_a_change_of_the_initial_window_applies_to_open_streams() -> None:
    """Section 6.9.2."""
    client = RawClient()
    client.send(client.headers(1))
    assert client.send(settings((4, 10))) == [WindowOpened(0)]
    assert client.session.room(1) == 10
    client.session.send_head(1, OK, end=False)
    client.session.send_data(1, b"0123456", end=False)
    client.send(settings((4, 5)))
    assert client.session.room(1) == 0
    client.send(window_update(1, 4))
    assert client.session.room(1) == 2
    client.send(settings((4, 2**31 - 1)), window_update(1, 3))
    assert client.resets() == []
    client.send(window_update(1, 2**31 - 1))
    assert client.resets() == [(1, ErrorCodes.FLOW_CONTROL_ERROR)]


def test_an_initial_window_that_overflows_a_stream_ends_the_connection() -> None:
    client = RawClient()
    client.send(client.headers(1), window_update(1, 100), settings((4, 2**31 - 1)))
    assert client.ended_by() == ErrorCodes.FLOW_CONTROL_ERROR


def test_a_stream_that_is_closed_does_not_overflow() -> None:
    client = RawClient()
    client.send(client.headers(1), window_update(1, 100_000))
    client.respond(1)
    client.send(settings((4, 2**31 - 1)))
    assert client.ended_by() is None
