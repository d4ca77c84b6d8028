"""h2 as the judge of streams: opened by a short cut, and forgotten when they are closed."""

import pytest
from h2.stream import StreamInputs
from hpack import Encoder

from blue_green.http2 import frames
from blue_green.http2.judge import Judge
from blue_green.http2.session_over import SessionOver


def state_of(judge: Judge, stream_id: int) -> tuple[object, ...]:
    stream = judge.streams[stream_id]
    machine = stream.state_machine
    return (
        judge.state_machine.state,
        judge.highest_inbound_stream_id,
        stream.outbound_flow_control_window,
        stream.max_outbound_frame_size,
        machine.state,
        machine.client,
        machine.headers_received,
        machine.headers_sent,
        machine.trailers_received,
        machine.stream_closed_by,
    )


@pytest.mark.parametrize("ends", [True, False])
@pytest.mark.parametrize("settings", [[], [(4, 100), (5, 20_000)]])
def test_the_short_cut_opens_a_stream_as_a_frame_would(
    ends: bool, settings: list[tuple[int, int]]
) -> None:
    judges = [Judge({}, Encoder()) for _ in range(2)]
    for judge in judges:
        judge.show(frames.write_settings(settings))
    flags = frames.END_HEADERS | (frames.END_STREAM if ends else 0)
    judges[0].show(frames.frame_header(0, frames.HEADERS, flags, 5))
    judges[1].open_stream(5, ends=ends)
    assert state_of(judges[0], 5) == state_of(judges[1], 5)


def test_closed_streams_are_forgotten() -> None:
    judge = Judge({}, Encoder())
    for stream_id in range(1, 2001, 2):
        stream = judge.open_stream(stream_id, ends=True)
        if stream_id > 20:
            stream.state_machine.process_input(StreamInputs.SEND_RST_STREAM)
    assert len(judge.streams) < 50
    assert all(stream_id in judge.streams for stream_id in range(1, 20, 2))


def test_a_fault_is_a_session_that_is_over_and_leaves_no_output() -> None:
    judge = Judge({}, Encoder())
    judge.data_to_send()
    with pytest.raises(SessionOver, match="stream 7, which was never opened"):
        judge.show(frames.write_window_update(7, 1))
    assert judge.data_to_send() == b""
