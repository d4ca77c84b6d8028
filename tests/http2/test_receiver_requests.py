"""Requests: header blocks, content-length, and what is refused (RFC 9113 sections 4.3 and 8.1)."""

import pytest
from attrs import evolve
from h2.errors import ErrorCodes

from blue_green.http2 import frames
from blue_green.http2.events import (
    RequestBegun,
    RequestEnded,
    RequestMalformed,
    RequestOverLimit,
    RequestRefused,
)
from blue_green.http2.frames import DATA, PADDED, write_frame
from blue_green.http2.session_over import SessionOver
from blue_green.http2.windows import INITIAL_WINDOW
from tests.support.http2_client import (
    GET,
    LIMITS,
    POST,
    Pairs,
    RawClient,
    data,
    reset,
)

PROTOCOL = ErrorCodes.PROTOCOL_ERROR
TRAILERS = [(b"x-sum", b"6")]


def test_a_header_block_that_cannot_be_decoded_ends_the_connection() -> None:
    """Section 4.3."""
    for block in (b"\xff\xff\xff\xff\xff\xff", b"\x40\x05ab", b"\xbe", b"\x3f\xff\xff\x03"):
        client = RawClient()
        client.send(write_frame(frames.HEADERS, 5, 1, block))
        assert client.ended_by() == ErrorCodes.COMPRESSION_ERROR


def test_what_a_client_learns_of_a_bad_block_repeats_nothing_of_it() -> None:
    client = RawClient()
    with pytest.raises(SessionOver) as over:
        client.session.receive(write_frame(frames.HEADERS, 5, 1, b"\x7f\xff\xff\xff\xff\xff\x10"))
        client.session.step()
    assert str(over.value) == "a header block cannot be decoded"


def test_a_block_that_changes_the_size_of_the_table_all_the_time_ends_the_connection() -> None:
    client = RawClient()
    client.send(write_frame(frames.HEADERS, 5, 1, b"\x20\x3f\xe1\x1f" + client.block(GET)))
    assert client.ended_by() is None
    client.send(write_frame(frames.HEADERS, 5, 3, b"\x20\x3f\xe1\x1f" * 2 + client.block(GET)))
    assert client.ended_by() == ErrorCodes.COMPRESSION_ERROR


LENGTHS: list[tuple[bytes, list[bytes], bool]] = [
    (b"5", [data(1, b"hello", end=True)], True),
    (b"5", [data(1, b"hel"), data(1, b"lo", end=True)], True),
    (b"5", [data(1, b"hello"), data(1, end=True)], True),
    (b"5", [write_frame(DATA, PADDED | 1, 1, b"\x03helloxyz")], True),
    (b"0", [data(1, end=True)], True),
    (b"5", [data(1, b"hell", end=True)], False),
    (b"5", [data(1, b"hello!")], False),
    (b"5", [data(1, end=True)], False),
    (b"5", [write_frame(DATA, PADDED | 1, 1, b"\x03hexyz")], False),
    (b"0", [data(1, b"x", end=True)], False),
]


@pytest.mark.parametrize(("length", "wire", "is_right"), LENGTHS)
def test_content_length_is_compared_with_the_data(
    length: bytes, wire: list[bytes], is_right: bool
) -> None:
    """Section 8.1.1."""
    client = RawClient()
    begin = client.headers(1, [*POST, (b"content-length", length)], end=False)
    *_, last = client.send(begin, *wire)
    assert isinstance(last, RequestEnded if is_right else RequestMalformed)
    assert client.resets() == ([] if is_right else [(1, PROTOCOL)])
    assert client.ended_by() is None


@pytest.mark.parametrize("length", [b"5", b"0"])
def test_content_length_is_compared_with_a_request_that_ends_at_once(length: bytes) -> None:
    client = RawClient()
    *_, last = client.send(client.headers(1, [*POST, (b"content-length", length)]))
    assert isinstance(last, RequestMalformed if length == b"5" else RequestEnded)


@pytest.mark.parametrize("body", [b"hell", b"hello"])
def test_content_length_is_compared_when_trailers_end_the_request(body: bytes) -> None:
    client = RawClient()
    begin = client.headers(1, [*POST, (b"content-length", b"5")], end=False)
    *_, last = client.send(begin, data(1, body), client.headers(1, TRAILERS))
    assert isinstance(last, RequestEnded if body == b"hello" else RequestMalformed)


@pytest.mark.parametrize(
    "fields",
    [
        [(b":method", b"GET")],
        [*GET, (b"Upper", b"x")],
        [*GET, (b"connection", b"close")],
        [*GET, (b"transfer-encoding", b"chunked")],
        [*GET, (b"x", b"a\r\nb: c")],
        [*GET, (b":path", b"/")],
        [(b"x", b"y"), *GET],
        [(b":status", b"100"), *GET],
        [*POST, (b"content-length", b"5"), (b"content-length", b"6")],
        [*POST, (b"content-length", b"-5")],
    ],
)
def test_a_malformed_request_harms_no_other_stream(fields: Pairs) -> None:
    client = RawClient()
    client.send(client.headers(1, POST, end=False))
    (event,) = client.send(client.headers(3, fields))
    assert isinstance(event, RequestMalformed)
    assert client.resets() == [(3, PROTOCOL)]
    assert len(client.send(client.headers(1, TRAILERS))) == 1
    assert len(client.send(client.headers(5))) == 2


def test_malformed_trailers_reset_their_stream() -> None:
    client = RawClient()
    client.send(client.headers(1, POST, end=False))
    (event,) = client.send(client.headers(1, [(b":path", b"/")]))
    assert isinstance(event, RequestMalformed)
    assert client.resets() == [(1, PROTOCOL)]


def test_a_head_over_the_limit_is_refused_and_the_rest_of_the_request_dropped() -> None:
    client = RawClient()
    large = [*POST, *[(b"x-%d" % n, b"v" * 1000) for n in range(17)]]
    begin = b"".join(
        [
            write_frame(frames.HEADERS, 0, 1, (block := client.block(large))[:16000]),
            write_frame(frames.CONTINUATION, 4, 1, block[16000:]),
        ]
    )
    (refused,) = client.send(begin)
    assert isinstance(refused, RequestRefused)
    assert refused.error.status == 431
    assert client.send(*[data(1, bytes(16000)) for _ in range(10)]) == []
    assert client.window_of(1, 160_000) > INITIAL_WINDOW // 2
    client.respond(1, b"too large")
    client.session.finish(1)
    assert client.resets() == [(1, ErrorCodes.NO_ERROR)]
    assert client.session.open_streams == 0


def test_a_header_list_far_over_the_limit_ends_the_connection() -> None:
    client = RawClient()
    client.send(client.headers(1, [*GET, (b"x", b"v" * 4000)]))
    bomb = b"\xbe" * 14
    client.send(write_frame(frames.HEADERS, 5, 3, bomb))
    assert client.ended_by() == ErrorCodes.ENHANCE_YOUR_CALM


def test_a_stream_too_many_is_refused_and_its_block_decoded() -> None:
    """Section 5.1.2."""
    client = RawClient(evolve(LIMITS, max_streams=2))
    client.send(client.headers(1), client.headers(3))
    known = [*GET, (b"x-known", b"later")]
    assert client.send(client.headers(5, known)) == [RequestOverLimit(5)]
    assert client.resets() == [(5, ErrorCodes.REFUSED_STREAM)]
    client.respond(1)
    begun, _ = client.send(client.headers(7, known))
    assert isinstance(begun, RequestBegun)
    assert b"x-known: later\r\n" in begun.head


@pytest.mark.parametrize("stream_id", [1, 3, 5])
def test_trailers_may_come_in_pieces_and_padded_whatever_became_of_their_stream(
    stream_id: int,
) -> None:
    """Stream 1 is open, 3 was reset by its client, and 5 by us."""
    client = RawClient()
    client.send(*[client.headers(each, POST, end=False) for each in (1, 3, 5)], reset(3))
    client.session.reset(5, ErrorCodes.CANCEL)
    client.frames()
    block = client.block(TRAILERS)
    events = client.send(
        write_frame(
            frames.HEADERS, PADDED | 0x21, stream_id, b"\x01" + bytes(5) + block[:3] + b"x"
        ),
        write_frame(frames.CONTINUATION, 4, stream_id, block[3:]),
    )
    assert events == ([RequestEnded(1, TRAILERS)] if stream_id == 1 else [])
    assert client.ended_by() is None
    assert len(client.send(client.headers(7))) == 2


def test_padded_data_of_a_closed_stream_is_no_fault_of_the_connection() -> None:
    client = RawClient()
    client.send(client.headers(1, POST, end=False), reset(1))
    client.send(write_frame(DATA, PADDED, 1, b"\x01ab"))
    assert client.resets() == [(1, ErrorCodes.STREAM_CLOSED)]
    assert client.ended_by() is None
