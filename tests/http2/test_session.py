"""One connection as a whole: requests, responses, and how it ends."""

import gc
import struct

import pytest
from attrs import evolve
from h2.errors import ErrorCodes
from hpack import HeaderTuple

from blue_green.http2 import frames
from blue_green.http2.events import (
    DataArrived,
    RequestBegun,
    RequestEnded,
    RequestRefused,
    WindowOpened,
)
from blue_green.http2.session import READING_WINDOW
from tests.support.http2_client import (
    GET,
    LIMITS,
    OK,
    POST,
    START,
    RawClient,
    data,
    goaway,
    reset,
    settings,
    window_update,
)


def test_a_request_without_a_body_begins_and_ends_at_once() -> None:
    client = RawClient()
    begun, ended = client.send(client.headers(1))
    assert isinstance(begun, RequestBegun)
    assert begun.request.method == b"GET"
    assert begun.head == b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
    assert ended == RequestEnded(1, [])


def test_a_body_arrives_in_pieces_and_trailers_end_it() -> None:
    client = RawClient()
    begun, *rest = client.send(
        client.headers(1, POST, end=False),
        data(1, b"one"),
        data(1, b"two"),
        client.headers(1, [(b"x-sum", b"6")]),
    )
    assert isinstance(begun, RequestBegun)
    assert rest == [
        DataArrived(1, b"one"),
        DataArrived(1, b"two"),
        RequestEnded(1, [(b"x-sum", b"6")]),
    ]


def test_a_response_is_sent_as_headers_and_data() -> None:
    client = RawClient()
    client.send(client.headers(1))
    client.session.send_head(1, OK, end=False)
    client.session.send_data(1, b"hello", end=True)
    head, body = client.frames()
    assert client.fields(head) == [tuple(field) for field in OK]
    assert (body.type, body.flags, body.payload) == (frames.DATA, frames.END_STREAM, b"hello")
    assert client.session.open_streams == 0


def test_a_response_may_have_informational_heads_and_trailers() -> None:
    client = RawClient()
    client.send(client.headers(1))
    hints = [HeaderTuple(b":status", b"103"), HeaderTuple(b"link", b"</a.css>")]
    client.session.send_head(1, hints, end=False)
    client.session.send_head(1, OK, end=False)
    client.session.send_data(1, b"body", end=False)
    client.session.send_head(1, [HeaderTuple(b"x-sum", b"4")], end=True)
    sent = client.frames()
    assert [(frame.type, frame.flags) for frame in sent] == [(1, 4), (1, 4), (0, 0), (1, 5)]
    heads = [client.fields(frame) for frame in sent if frame.type == frames.HEADERS]
    assert heads == [hints, OK, [(b"x-sum", b"4")]]


def test_data_are_sent_in_frames_that_every_client_accepts() -> None:
    client = RawClient()
    client.send(settings((4, 2**20), (5, 2**20)), window_update(0, 2**20), client.headers(1))
    client.session.send_head(1, OK, end=False)
    body = bytes(range(256)) * 300
    client.session.send_data(1, memoryview(bytearray(body)), end=True)
    sent = [frame for frame in client.frames() if frame.type == frames.DATA]
    assert [frame.size for frame in sent] == [16384] * 4 + [76800 - 4 * 16384]
    assert [frame.flags for frame in sent] == [0, 0, 0, 0, frames.END_STREAM]
    assert b"".join(frame.payload for frame in sent) == body


def test_a_response_may_end_with_an_empty_frame() -> None:
    client = RawClient()
    client.send(settings((4, 0)), client.headers(1))
    client.session.send_head(1, OK, end=False)
    client.session.send_data(1, b"", end=True)
    last = client.frames()[-1]
    assert (last.type, last.flags, last.size) == (frames.DATA, frames.END_STREAM, 0)
    assert client.session.open_streams == 0


def test_there_is_room_for_what_both_windows_allow() -> None:
    client = RawClient()
    client.send(settings((4, 100_000)), client.headers(1), client.headers(3))
    for stream_id in (1, 3):
        client.session.send_head(stream_id, OK, end=False)
    assert client.session.room(1) == 65_535
    client.session.send_data(1, bytes(65_000), end=False)
    assert client.session.room(3) == 535
    assert client.send(window_update(0, 100_000)) == [WindowOpened(0)]
    assert client.session.room(1) == 35_000
    assert client.session.room(3) == 100_000
    assert client.session.room(5) == 0


def test_what_is_sent_on_a_closed_stream_goes_nowhere() -> None:
    client = RawClient()
    client.send(client.headers(1), reset(1))
    session = client.session
    client.frames()
    assert session.room(1) == 0
    client.respond(1)
    session.credit(1, 10)
    session.widen(1)
    session.finish(1)
    session.reset(1, ErrorCodes.INTERNAL_ERROR)
    assert session.pending == 0


def test_a_response_that_is_complete_before_its_request_stops_the_request() -> None:
    """Section 8.1."""
    client = RawClient()
    client.send(client.headers(1, POST, end=False))
    client.respond(1)
    client.session.finish(1)
    assert client.resets() == [(1, ErrorCodes.NO_ERROR)]
    assert client.send(data(1, b"late"), client.headers(1, [(b"x", b"y")])) == []
    assert client.frames() == []


def test_a_body_that_nobody_reads_stops_at_its_window_and_harms_no_other_stream() -> None:
    client = RawClient()
    client.send(client.headers(1, POST, end=False), client.headers(3, POST, end=False))
    client.send(*[data(1, bytes(13107)) for _ in range(5)])
    assert all(frame.stream_id == 0 for frame in client.frames())
    for _ in range(1000):
        client.send(data(3, bytes(16384)))
        client.session.credit(3, 16384)
    assert client.ended_by() is None
    assert client.session.open_streams == 2


def test_a_body_that_is_read_gets_a_large_window() -> None:
    client = RawClient()
    client.send(client.headers(1, POST, end=False))
    client.session.widen(1)
    assert client.window_of(1, 0) == READING_WINDOW
    client.session.widen(1)
    client.send(*[data(1, bytes(16384)) for _ in range(64)])
    assert client.resets() == []
    client.session.credit(1, READING_WINDOW)
    assert client.window_of(1, READING_WINDOW, READING_WINDOW) == READING_WINDOW


def test_a_close_is_announced_and_streams_that_come_meanwhile_are_served() -> None:
    """Section 6.8."""
    client = RawClient()
    client.send(client.headers(1))
    client.session.announce_close()
    assert client.goaway() == (2**31 - 1, ErrorCodes.NO_ERROR)
    begun, _ = client.send(client.headers(3))
    assert isinstance(begun, RequestBegun)


def test_streams_after_the_last_one_are_ignored_and_their_blocks_decoded() -> None:
    """Section 6.8."""
    client = RawClient()
    client.send(client.headers(1, POST, end=False))
    client.session.refuse_streams()
    client.session.refuse_streams()
    assert [goaway(frame) for frame in client.frames()] == [(1, ErrorCodes.NO_ERROR)]
    known = [(b"x-known", b"later")]
    late = client.headers(3, [*POST, *known], end=False)
    ping = frames.write_frame(frames.PING, 0, 0, bytes(8))
    assert client.send(late, data(3, b"x"), window_update(3, 1), reset(3), ping) == []
    assert [frame.type for frame in client.frames()] == [frames.PING]
    assert client.send(client.headers(1, known)) == [RequestEnded(1, known)]


def test_nothing_follows_the_goaway_of_an_error() -> None:
    client = RawClient()
    client.send(client.headers(2))
    assert client.goaway() == (0, ErrorCodes.PROTOCOL_ERROR)
    client.session.refuse_streams()
    assert client.session.pending == 0


def test_new_limits_are_sent_and_applied() -> None:
    client = RawClient()
    client.session.limits = evolve(LIMITS, max_streams=1, max_head=1000)
    (sent,) = client.frames()
    assert dict(struct.iter_unpack(">HL", sent.payload))[3] == 1
    client.send(*2 * [frames.write_frame(frames.SETTINGS, frames.ACK, 0)])
    (refused,) = client.send(client.headers(1, [*GET, (b"x", b"v" * 1000)], end=False))
    assert isinstance(refused, RequestRefused)
    client.send(client.headers(3))
    assert client.resets() == [(3, ErrorCodes.REFUSED_STREAM)]
    client.session.limits = evolve(client.session.limits, max_resets=5)
    assert client.session.pending == 0


def test_limits_that_have_no_room_in_a_field_are_sent_as_the_largest_number() -> None:
    client = RawClient(evolve(LIMITS, max_streams=2**40, max_head=2**40))
    first = client.greeting[0]
    sent = dict(struct.iter_unpack(">HL", first.payload))
    assert sent[3] == sent[6] == 2**31 - 1


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (b"x" * 24, "the connection preface is wrong"),
        (START + frames.write_frame(frames.DATA, 0, 0), "a frame of type DATA is on no stream"),
        (START + settings((2, 2)), "setting 2 has invalid value 2"),
        (START + frames.write_frame(frames.HEADERS, 5, 2), "stream 2, whose number is even"),
    ],
)
def test_the_end_of_a_session_is_explained_in_a_clause(frame: bytes, why: str) -> None:
    client = RawClient(start=b"")
    client.send(frame)
    assert why in str(client.over)
    assert not str(client.over)[:1].isupper()


def test_our_encoder_follows_the_table_size_of_the_client() -> None:
    client = RawClient()
    client.send(settings((1, 0)), client.headers(1))
    client.respond(1)
    head = next(frame for frame in client.frames() if frame.type == frames.HEADERS)
    assert head.payload[0] == 0x20
    assert client.fields(head) == OK


def test_closed_streams_take_no_memory() -> None:
    client = RawClient()

    def serve(first: int) -> int:
        for stream_id in range(first, first + 2400, 2):
            client.send(client.headers(stream_id))
            client.respond(stream_id)
            client.frames()
        gc.collect()
        return len(gc.get_objects())

    serve(1)
    before = serve(2401)
    assert serve(4801) - before < 500


def test_a_response_that_is_cut_short_ends_with_an_error() -> None:
    client = RawClient()
    client.send(client.headers(1))
    client.session.send_head(1, OK, end=False)
    client.session.finish(1)
    assert client.resets() == [(1, ErrorCodes.INTERNAL_ERROR)]
