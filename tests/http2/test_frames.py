"""Frames in the bytes of a client (RFC 9113 sections 3.4, 4.1 and 4.2)."""

import pytest
from h2.errors import ErrorCodes

from blue_green.http2 import frames
from blue_green.http2.frames import Frame, FrameReader
from blue_green.http2.session_over import SessionOver


def reader(data: bytes = frames.PREFACE) -> FrameReader:
    reader = FrameReader()
    reader.receive(data)
    return reader


def test_frames_that_arrive_byte_by_byte_are_taken_when_they_are_whole() -> None:
    sent = [Frame(6, 0, 0, b"12345678", 8), Frame(0, 1, 2**31 - 1, b"", 0)]
    wire = frames.PREFACE + b"".join(frames.write_frame(*frame[:4]) for frame in sent)
    reader, taken = FrameReader(), []
    for position in range(len(wire)):
        reader.receive(wire[position : position + 1])
        while reader.has_frame:
            taken.append(reader.take())
    assert taken == sent
    assert not reader.is_partial


def test_the_reserved_bit_of_a_stream_identifier_is_ignored() -> None:
    wire = frames.frame_header(0, 0, 0, 2**31 + 5)
    assert reader(frames.PREFACE + wire).take().stream_id == 5


def test_a_frame_that_is_too_large_is_refused_by_its_header_alone() -> None:
    header = frames.frame_header(frames.MAX_FRAME_SIZE + 1, frames.DATA, 0, 1)
    too_large = reader(frames.PREFACE + header)
    assert too_large.has_frame
    with pytest.raises(SessionOver, match="16385") as over:
        too_large.take()
    assert over.value.code == ErrorCodes.FRAME_SIZE_ERROR


def test_the_largest_frame_is_taken() -> None:
    wire = frames.write_frame(frames.DATA, 0, 1, bytes(frames.MAX_FRAME_SIZE))
    assert len(reader(frames.PREFACE + wire).take().payload) == frames.MAX_FRAME_SIZE


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", frames.PREFACE[:-1] + b"x", b"x"])
def test_a_wrong_preface_is_refused_at_its_first_wrong_byte(data: bytes) -> None:
    wrong = reader(data)
    assert wrong.has_frame
    with pytest.raises(SessionOver) as over:
        wrong.take()
    assert over.value.code == ErrorCodes.PROTOCOL_ERROR


def test_part_of_a_preface_is_waited_for() -> None:
    partial, waits = reader(b""), []
    for start in (0, 12):
        partial.receive(frames.PREFACE[start : start + 12])
        waits.append((partial.is_at_preface, partial.has_frame))
    assert waits == [(True, False), (False, False)]


def test_a_large_header_block_is_sent_in_continuation_frames() -> None:
    block = bytes(range(256)) * 200
    sent = reader(frames.PREFACE + frames.write_header_block(1, block, end=True))
    taken = []
    while sent.has_frame:
        taken.append(sent.take())
    assert [frame.type for frame in taken] == [frames.HEADERS] + 3 * [frames.CONTINUATION]
    assert [frame.flags for frame in taken] == [frames.END_STREAM, 0, 0, frames.END_HEADERS]
    assert b"".join(frame.payload for frame in taken) == block
