"""Any frames at all: a session raises nothing but `SessionOver`, and streams are independent."""

import random
from collections.abc import Iterator, Sequence

from attrs import evolve
from h2.errors import ErrorCodes
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from blue_green.http2 import frames
from blue_green.http2.events import DataArrived, Event, RequestBegun, RequestEnded
from blue_green.http2.frames import write_frame
from blue_green.http2.session import CONNECTION_WINDOW
from tests.support.http2_client import LIMITS, OK, RawClient, data, number, reset, window_update

FEW_EXAMPLES = settings(
    max_examples=60, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate]
)
chances = st.integers(0, 2**32).map(random.Random)
NO_FLOODS = evolve(LIMITS, max_resets=10**6, max_control_frames=10**6)

# Header blocks that change no table, so that they may come in any order.
GET = b"\x82\x87\x84\x01\x01a"
POST = b"\x83\x87\x84\x01\x01a"
FIVE_BYTES = POST + b"\x0f\x0d\x015"
TRAILERS = b"\x00\x01x\x01y"
MALFORMED = b"\x82\x87"
BLOCKS = [GET, POST, FIVE_BYTES, TRAILERS, MALFORMED, b"", b"\xff", b"\x82" * 5000]

stream_ids = st.integers(0, 9)
payloads = st.one_of(
    st.sampled_from(BLOCKS), st.binary(max_size=20), st.sampled_from([bytes(n) for n in range(9)])
)
any_frames = st.builds(write_frame, st.integers(0, 11), st.integers(0, 255), stream_ids, payloads)
likely_frames = st.one_of(
    st.builds(
        write_frame, st.just(frames.HEADERS), st.sampled_from([0, 1, 4, 5, 0x25, 0x0D]),
        stream_ids, st.sampled_from(BLOCKS),
    ),
    st.builds(data, stream_ids, st.binary(max_size=9), end=st.booleans()),
    st.builds(reset, stream_ids),
    st.builds(window_update, stream_ids, st.sampled_from([0, 1, 2**16, 2**31 - 1])),
    any_frames,
)  # fmt: skip


@FEW_EXAMPLES
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_end_a_session_or_do_nothing(wire: bytes, has_begun: bool) -> None:
    client = RawClient() if has_begun else RawClient(start=b"")
    client.send(wire)
    client.frames()


@FEW_EXAMPLES
@given(st.lists(likely_frames, max_size=30), chances)
def test_any_frames_and_any_use_of_a_session_raise_nothing_else(
    wire: list[bytes], chance: random.Random
) -> None:
    client = RawClient()
    session = client.session
    for frame in wire:
        client.send(*_pieces(frame, chance))
        stream_id = chance.randrange(1, 11, 2)
        if chance.random() < 0.3:
            session.reset(stream_id, ErrorCodes.CANCEL)
        session.widen(stream_id)
        session.send_data(stream_id, bytes(min(5, session.room(stream_id))), end=False)
        session.credit(stream_id, 3)
        if chance.random() < 0.1:
            session.refuse_streams()
    client.frames()
    assert client.ended_by() is None or not session.has_frame


def _pieces(frame: bytes, chance: random.Random) -> list[bytes]:
    cut = chance.randrange(len(frame))
    return [frame[:cut], frame[cut:]]


def faulty(stream_id: int) -> list[list[bytes]]:
    """Sequences of frames that are errors of a new stream, and only of that."""
    start = write_frame(frames.HEADERS, 4, stream_id, POST)
    five = write_frame(frames.HEADERS, 4, stream_id, FIVE_BYTES)
    ended = write_frame(frames.HEADERS, 5, stream_id, GET)
    return [
        [write_frame(frames.HEADERS, 5, stream_id, MALFORMED)],
        [write_frame(frames.HEADERS, 4, stream_id, TRAILERS), data(stream_id, b"x", end=True)],
        [five, data(stream_id, b"123456"), data(stream_id, b"7")],
        [five, write_frame(frames.HEADERS, 5, stream_id, TRAILERS)],
        [start, reset(stream_id), data(stream_id, b"x"), window_update(stream_id, 1)],
        [start, write_frame(frames.HEADERS, 4, stream_id, TRAILERS), data(stream_id, b"x")],
        [start, window_update(stream_id, 0), window_update(stream_id, 2**31 - 1)],
        [ended, window_update(stream_id, 2**31 - 1), reset(stream_id)],
        [ended, data(stream_id, b"x"), data(stream_id, b"x", end=True)],
        [ended, write_frame(frames.HEADERS, 5, stream_id, TRAILERS)],
        [start, write_frame(frames.PRIORITY, 0, stream_id, b"1234")],
        [write_frame(frames.HEADERS, 0x24, stream_id, stream_id.to_bytes(4, "big") + b"\0" + POST)],
        [start, *[data(stream_id, bytes(16384)) for _ in range(5)]],
    ]


@FEW_EXAMPLES
@given(st.lists(st.integers(0, 12), max_size=8), chances)
def test_faults_of_other_streams_do_not_change_what_an_honest_one_means(
    kinds: list[int], chance: random.Random
) -> None:
    client = RawClient(NO_FLOODS)
    honest = [
        write_frame(frames.HEADERS, 4, 1, POST),
        data(1, b"one"),
        data(1, b"two"),
        write_frame(frames.HEADERS, 5, 1, TRAILERS),
    ]
    events = client.send(honest[0])
    others = [faulty(2 * place + 3)[kind] for place, kind in enumerate(kinds)]
    for frame in _interleaved([honest[1:], [f for other in others for f in other]], chance):
        events += client.send(frame)
    client.respond(1)
    assert client.ended_by() is None
    begun, *rest = [event for event in events if _is_on(1, event)]
    assert isinstance(begun, RequestBegun)
    assert rest == [
        DataArrived(1, b"one"),
        DataArrived(1, b"two"),
        RequestEnded(1, [(b"x", b"y")]),
    ]
    sent = [frame for frame in client.frames() if frame.stream_id == 1]
    assert [frame.type for frame in sent] == [frames.HEADERS, frames.DATA]


def _interleaved(queues: list[list[bytes]], chance: random.Random) -> Iterator[bytes]:
    while queues := [queue for queue in queues if queue]:
        yield chance.choice(queues).pop(0)


def _is_on(stream_id: int, event: Event) -> bool:
    return getattr(event, "stream_id", 0) == stream_id


@FEW_EXAMPLES
@given(chances)
def test_the_window_of_the_connection_always_comes_back(chance: random.Random) -> None:
    """Whatever happens to the streams on which data arrive, and with padding, too."""
    client = RawClient(NO_FLOODS)
    session, window, newest = client.session, CONNECTION_WINDOW, 1
    unread: dict[int, int] = {}
    for _ in range(60):
        stream_id = chance.randrange(1, newest + 2, 2)
        action = chance.randrange(7)
        if action == 0:
            newest += 2
            client.send(write_frame(frames.HEADERS, 4, newest, chance.choice([POST, FIVE_BYTES])))
        elif action == 1:
            session.reset(stream_id, ErrorCodes.CANCEL)
        elif action == 2:
            client.send(reset(stream_id) if stream_id > 1 else b"")
        elif action == 3:
            session.credit(stream_id, unread.pop(stream_id, 0))
        elif action == 4:
            session.send_head(stream_id, OK, end=True)
            session.finish(stream_id)
        elif newest > 1:
            padding = chance.choice([b"", bytes([200])])
            payload = padding + bytes(chance.choice([200, 5, 16000]) if not padding else 16000)
            flags = frames.PADDED if padding else 0
            window -= len(payload)
            arrived = client.send(write_frame(frames.DATA, flags, max(3, stream_id), payload))
            for event in arrived:
                if isinstance(event, DataArrived):
                    unread[event.stream_id] = unread.get(event.stream_id, 0) + len(event.data)
        window += _credit(client.frames())
        assert CONNECTION_WINDOW // 2 < window <= CONNECTION_WINDOW
    assert client.ended_by() is None


def _credit(sent: Sequence[frames.Frame]) -> int:
    updates = [f for f in sent if f.type == frames.WINDOW_UPDATE and f.stream_id == 0]
    return sum(map(number, updates))
