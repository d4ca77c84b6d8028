"""Budgets against frames that achieve nothing, and the floods that exhaust them."""

from collections.abc import Callable

import pytest
from attrs import evolve
from h2.errors import ErrorCodes

from blue_green.http2 import frames
from blue_green.http2.floods import FrameBudget
from blue_green.http2.session import SessionLimits
from tests.support.http2_client import (
    LIMITS,
    POST,
    Clock,
    RawClient,
    data,
    reset,
    settings,
    window_update,
)

FEW = evolve(LIMITS, max_resets=10, max_control_frames=20)


def test_a_budget_is_whole_again_after_ten_seconds() -> None:
    clock = Clock()
    budget = FrameBudget(3, clock)
    assert [budget.spend() for _ in range(4)] == [True, True, True, False]
    clock.now = 3.4
    assert [budget.spend() for _ in range(2)] == [True, False]
    clock.now = 100
    assert [budget.spend() for _ in range(4)] == [True, True, True, False]


def test_a_new_limit_leaves_what_was_spent() -> None:
    budget = FrameBudget(3, Clock())
    budget.spend()
    budget.set_limit(5)
    assert [budget.spend() for _ in range(5)] == [True] * 4 + [False]


def request_and_reset(client: RawClient, stream_id: int) -> bytes:
    return client.headers(stream_id, POST, end=False) + reset(stream_id)


def request_that_is_malformed(client: RawClient, stream_id: int) -> bytes:
    return client.headers(stream_id, [(b":method", b"GET")])


def request_made_to_be_reset(client: RawClient, stream_id: int) -> bytes:
    """CVE-2025-8671, MadeYouReset."""
    return client.headers(stream_id) + window_update(stream_id, 2**31 - 1)


def request_with_data_after_its_end(client: RawClient, stream_id: int) -> bytes:
    return client.headers(stream_id) + data(stream_id, b"x")


def request_that_depends_on_itself(client: RawClient, stream_id: int) -> bytes:
    payload = stream_id.to_bytes(4, "big") + b"\0" + client.block(POST)
    return frames.write_frame(frames.HEADERS, 0x25, stream_id, payload)


def data_on_a_stream_that_was_taken_back(client: RawClient, stream_id: int) -> bytes:
    return data(1, b"x") if stream_id > 1 else client.headers(1, POST, end=False) + reset(1)


RESETS = [
    request_and_reset,
    request_that_is_malformed,
    request_made_to_be_reset,
    request_with_data_after_its_end,
    request_that_depends_on_itself,
    data_on_a_stream_that_was_taken_back,
]


@pytest.mark.parametrize("flood", RESETS)
def test_a_flood_of_resets_ends_the_connection(flood: Callable[[RawClient, int], bytes]) -> None:
    client = RawClient(FEW)
    for count in range(10):
        client.send(flood(client, 2 * count + 1))
        assert client.ended_by() is None
    client.send(flood(client, 21))
    assert client.ended_by() == ErrorCodes.ENHANCE_YOUR_CALM
    assert (client.goaway() or (0, None))[1] == ErrorCodes.ENHANCE_YOUR_CALM


def test_a_browser_may_leave_five_pages_in_a_row_while_they_load() -> None:
    """Each time it cancels as many requests as it may have."""
    client = RawClient(SessionLimits())
    for page in range(5):
        streams = range(200 * page + 1, 200 * (page + 1), 2)
        client.send(*[client.headers(stream_id) for stream_id in streams])
        client.send(*map(reset, streams))
        for stream_id in streams:
            client.session.finish(stream_id)
    assert client.ended_by() is None


def test_refused_streams_count_as_resets() -> None:
    client = RawClient(evolve(FEW, max_streams=1))
    client.send(client.headers(1, POST, end=False))
    for count in range(11):
        client.send(client.headers(2 * count + 3))
    assert client.ended_by() == ErrorCodes.ENHANCE_YOUR_CALM


CONTROL_FRAMES = {
    "PING": frames.write_frame(frames.PING, 0, 0, bytes(8)),
    "PING that answers none": frames.write_frame(frames.PING, frames.ACK, 0, bytes(8)),
    "SETTINGS": settings(),
    "SETTINGS with a table": settings((1, 0)),
    "SETTINGS that answers none": frames.write_frame(frames.SETTINGS, frames.ACK, 0),
    "PRIORITY": frames.write_frame(frames.PRIORITY, 0, 1, bytes(5)),
    "an unknown frame": frames.write_frame(0x10, 0, 0, b"u=1"),
    "empty DATA": data(1),
    "DATA of nothing but padding": frames.write_frame(frames.DATA, frames.PADDED, 1, b"\x02ab"),
    "WINDOW_UPDATE": window_update(0, 1),
    "WINDOW_UPDATE of a stream": window_update(1, 1),
    "RST_STREAM of a closed stream": reset(1),
    "GOAWAY": frames.write_goaway(0, ErrorCodes.NO_ERROR),
}


@pytest.mark.parametrize("frame", CONTROL_FRAMES.values(), ids=CONTROL_FRAMES)
def test_a_flood_of_frames_that_achieve_nothing_ends_the_connection(frame: bytes) -> None:
    client = RawClient(FEW)
    client.send(client.headers(1, POST, end=False), *15 * [frame])
    assert client.ended_by() is None
    client.send(*15 * [frame])
    assert client.ended_by() == ErrorCodes.ENHANCE_YOUR_CALM


def test_a_flood_is_reported_with_its_limit_and_its_setting() -> None:
    client = RawClient(FEW)
    client.send(*21 * [CONTROL_FRAMES["PING"]])
    why = "more than 20 frames had no effect within 10 s ([proxy.http2] max_control_frames)"
    assert str(client.over) == why
    client = RawClient(FEW)
    for stream_id in range(1, 23, 2):
        client.send(client.headers(stream_id), reset(stream_id))
    why = "more than 10 requests were cancelled within 10 s ([proxy.http2] max_resets)"
    assert str(client.over) == why


def test_settings_that_change_many_windows_count_for_each_stream() -> None:
    client = RawClient(FEW)
    client.send(*[client.headers(stream_id, POST, end=False) for stream_id in range(1, 19, 2)])
    client.send(settings((4, 70_000)))
    assert client.ended_by() is None
    client.send(settings((4, 70_001)), settings((4, 70_002)))
    assert client.ended_by() == ErrorCodes.ENHANCE_YOUR_CALM


def test_a_frame_of_many_settings_ends_the_connection() -> None:
    client = RawClient()
    client.send(settings(*[(0xF000, 1)] * 32))
    assert client.ended_by() is None
    client.send(settings(*[(0xF000, 1)] * 33))
    assert client.ended_by() == ErrorCodes.ENHANCE_YOUR_CALM


def test_a_flood_of_empty_continuation_frames_ends_the_connection() -> None:
    client = RawClient(FEW)
    block = client.block(POST)
    for count in range(30):
        half = frames.write_frame(frames.HEADERS, 0, 2 * count + 1, block)
        client.send(half, frames.write_frame(frames.CONTINUATION, 4, 2 * count + 1))
    assert client.ended_by() == ErrorCodes.ENHANCE_YOUR_CALM


def test_the_same_frames_over_a_longer_time_do_no_harm() -> None:
    client = RawClient(FEW)
    for _ in range(100):
        client.clock.now += 1
        client.send(CONTROL_FRAMES["PING"], CONTROL_FRAMES["PING"])
    assert client.ended_by() is None


def test_window_updates_that_answer_our_data_are_no_flood() -> None:
    client = RawClient(FEW)
    client.send(client.headers(1))
    client.session.send_head(1, [], end=False)
    for _ in range(200):
        client.session.send_data(1, bytes(4096), end=False)
        client.send(*[window_update(stream_id, 1024) for stream_id in (0, 1) for _ in range(4)])
        client.send()
        if client.session.room(1) < 4096:
            break
    assert client.ended_by() is None


def test_window_updates_of_a_byte_at_a_time_are_a_flood() -> None:
    client = RawClient(FEW)
    client.send(settings((4, 0)), client.headers(1))
    client.session.send_head(1, [], end=False)
    for _ in range(30):
        client.send(window_update(1, 1))
        client.session.send_data(1, b"x" * min(1, client.session.room(1)), end=False)
    assert client.ended_by() == ErrorCodes.ENHANCE_YOUR_CALM


def test_resets_of_streams_that_have_ended_are_not_resets_of_requests() -> None:
    client = RawClient(FEW)
    for stream_id in range(1, 31, 2):
        client.send(client.headers(stream_id))
        client.respond(stream_id)
        client.send(reset(stream_id))
    assert client.ended_by() is None


def test_no_number_of_requests_explains_a_flood_of_window_updates() -> None:
    client = RawClient(FEW)
    for stream_id in range(1, 5001, 2):
        client.send(client.headers(stream_id))
        client.respond(stream_id)
    client.send(*5000 * [window_update(0, 1)])
    assert client.ended_by() == ErrorCodes.ENHANCE_YOUR_CALM
