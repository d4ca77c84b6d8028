"""What a frame means in each state of its stream (RFC 9113 section 5.1)."""

from collections.abc import Callable
from typing import NamedTuple

import pytest
from h2.errors import ErrorCodes

from blue_green.http2 import frames
from blue_green.http2.events import (
    DataArrived,
    RequestBegun,
    RequestEnded,
    RequestMalformed,
    StreamReset,
    WindowOpened,
)
from blue_green.http2.frames import DATA, write_frame
from tests.support.http2_client import (
    GET,
    POST,
    RawClient,
    data,
    reset,
    window_update,
)

PROTOCOL, CLOSED = ErrorCodes.PROTOCOL_ERROR, ErrorCodes.STREAM_CLOSED
TRAILERS = [(b"x-sum", b"6")]


def idle(client: RawClient) -> None:
    """Stream 3 stays idle; stream 1 is open, so that the connection is not new."""
    client.send(client.headers(1, POST, end=False))


def implicitly_closed(client: RawClient) -> None:
    client.send(client.headers(5, POST, end=False))


def opened(client: RawClient) -> None:
    client.send(client.headers(3, POST, end=False))


def half_closed_remote(client: RawClient) -> None:
    client.send(client.headers(3))


def half_closed_local(client: RawClient) -> None:
    opened(client)
    client.respond(3)


def ended(client: RawClient) -> None:
    half_closed_remote(client)
    client.respond(3)


def reset_by_client(client: RawClient) -> None:
    client.send(client.headers(3, POST, end=False), reset(3))


def reset_by_us(client: RawClient) -> None:
    opened(client)
    client.session.reset(3, ErrorCodes.INTERNAL_ERROR)


def forgotten(client: RawClient) -> None:
    """Closed so long ago that h2 does not know it."""
    ended(client)
    for stream_id in range(5, 5 + 2 * 1100, 2):
        client.send(client.headers(stream_id))
        client.respond(stream_id)


def headers(client: RawClient) -> bytes:
    return client.headers(3, GET)


def trailers(client: RawClient) -> bytes:
    return client.headers(3, TRAILERS)


def trailers_without_end(client: RawClient) -> bytes:
    return client.headers(3, TRAILERS, end=False)


def some_data(client: RawClient) -> bytes:
    return data(3, b"x")


def taken_back(client: RawClient) -> bytes:
    return reset(3)


def more_window(client: RawClient) -> bytes:
    return window_update(3, 10)


def too_much_window(client: RawClient) -> bytes:
    return window_update(3, 2**31 - 1)


class StateCase(NamedTuple):
    """What becomes of a frame: an error of the connection, of the stream, or nothing."""

    section: str
    state: Callable[[RawClient], None]
    frame: Callable[[RawClient], bytes]
    connection: ErrorCodes | None = None
    stream: ErrorCodes | None = None
    events: tuple[type, ...] = ()


CASES = [
    StateCase("5.1", idle, headers, events=(RequestBegun, RequestEnded)),
    StateCase("5.1", idle, some_data, PROTOCOL),
    StateCase("6.4", idle, taken_back, PROTOCOL),
    StateCase("6.9", idle, more_window, PROTOCOL),
    StateCase("5.1.1", implicitly_closed, headers, PROTOCOL),
    StateCase("5.1", opened, some_data, events=(DataArrived,)),
    StateCase("5.1", opened, taken_back, events=(StreamReset,)),
    StateCase("5.1", opened, more_window, events=(WindowOpened,)),
    StateCase("8.1", opened, trailers, events=(RequestEnded,)),
    StateCase("8.1", opened, trailers_without_end, stream=PROTOCOL, events=(RequestMalformed,)),
    StateCase("8.1", opened, headers, stream=PROTOCOL, events=(RequestMalformed,)),
    StateCase(
        "6.9.1", opened, too_much_window, None, ErrorCodes.FLOW_CONTROL_ERROR, (StreamReset,)
    ),
    StateCase("5.1", half_closed_remote, some_data, stream=CLOSED, events=(RequestMalformed,)),
    StateCase("5.1", half_closed_remote, trailers, stream=CLOSED, events=(RequestMalformed,)),
    StateCase("5.1", half_closed_remote, taken_back, events=(StreamReset,)),
    StateCase("5.1", half_closed_remote, more_window, events=(WindowOpened,)),
    StateCase("5.1", half_closed_local, some_data, events=(DataArrived,)),
    StateCase("5.1", half_closed_local, trailers, events=(RequestEnded,)),
    StateCase("5.1", half_closed_local, taken_back, events=(StreamReset,)),
    StateCase("5.1", half_closed_local, more_window, events=(WindowOpened,)),
    StateCase("5.1", ended, some_data, stream=CLOSED),
    StateCase("5.1", ended, headers, CLOSED),
    StateCase("5.1", ended, taken_back),
    StateCase("5.1", ended, more_window),
    StateCase("5.1", reset_by_client, some_data, stream=CLOSED),
    StateCase("5.1", reset_by_client, trailers, stream=CLOSED),
    StateCase("5.1", reset_by_client, taken_back),
    StateCase("5.1", reset_by_client, more_window),
    StateCase("5.1", reset_by_us, some_data),
    StateCase("5.1", reset_by_us, trailers),
    StateCase("5.1", reset_by_us, headers),
    StateCase("5.1", reset_by_us, taken_back),
    StateCase("5.1", reset_by_us, more_window),
    StateCase("5.1.1", forgotten, headers, PROTOCOL),
    StateCase("5.1", forgotten, some_data, stream=CLOSED),
    StateCase("5.1", forgotten, taken_back),
    StateCase("5.1", forgotten, more_window),
]


@pytest.mark.parametrize(
    "case", CASES, ids=lambda c: f"{c.section} {c.state.__name__} {c.frame.__name__}"
)
def test_a_frame_is_judged_by_the_state_of_its_stream(case: StateCase) -> None:
    client = RawClient()
    case.state(client)
    client.frames()
    events = client.send(case.frame(client))
    assert client.ended_by() == case.connection
    assert client.resets() == ([(3, case.stream)] if case.stream is not None else [])
    assert tuple(map(type, events)) == case.events
    if case.connection is None:
        begun, _ = client.send(client.headers(9999))
        assert isinstance(begun, RequestBegun)


@pytest.mark.parametrize(
    ("section", "wire"),
    [
        ("5.1.1", write_frame(frames.HEADERS, 5, 2, b"\x82")),
        ("5.1", write_frame(DATA, 0, 2, b"x")),
        ("6.4", reset(2)),
        ("6.9", window_update(2, 1)),
    ],
)
def test_a_client_has_no_streams_with_even_numbers(section: str, wire: bytes) -> None:
    client = RawClient()
    client.send(client.headers(1), wire)
    assert client.ended_by() == PROTOCOL
