"""A client that sends a session any frames at all, and reads those that come back."""

import struct
from collections.abc import Iterator, Sequence

from h2.errors import ErrorCodes
from hpack import Decoder, Encoder, HeaderTuple

from blue_green.http2 import frames
from blue_green.http2.events import Event
from blue_green.http2.frames import Frame, FrameReader
from blue_green.http2.session import Session, SessionLimits, SessionOver
from blue_green.http2.windows import INITIAL_WINDOW

Pairs = Sequence[tuple[bytes, bytes]]

LIMITS = SessionLimits(max_streams=100, max_resets=200, max_control_frames=1000, max_head=16384)
GET = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a.test"), (b":path", b"/")]
START = frames.PREFACE + frames.write_frame(frames.SETTINGS, 0, 0)
OK = [HeaderTuple(b":status", b"200"), HeaderTuple(b"content-type", b"text/plain")]
POST = [(b":method", b"POST"), *GET[1:]]


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class RawClient:
    """The other side of a session, after the preface and an empty SETTINGS frame."""

    def __init__(self, limits: SessionLimits = LIMITS, *, start: bytes = START) -> None:
        self.clock = Clock()
        self.session = Session(limits, self.clock)
        self._encoder = Encoder()
        self._decoder = Decoder()
        self._reader = FrameReader()
        self._reader.receive(frames.PREFACE)
        self.greeting = self.frames()
        self.over: SessionOver | None = None
        if start:
            self.send(start)
            self.frames()

    def send(self, *data: bytes) -> list[Event]:
        """The events of these bytes. If they end the session, `over` says why."""
        self.session.receive(b"".join(data))
        events: list[Event] = []
        try:
            while self.session.has_frame:
                events += self.session.step()
        except SessionOver as over:
            self.over = over
        return events

    def ended_by(self) -> ErrorCodes | None:
        """The error that has ended the session."""
        return None if self.over is None else self.over.code

    def block(self, fields: Pairs) -> bytes:
        return self._encoder.encode(list(fields))

    def fields(self, frame: Frame) -> list[tuple[bytes, bytes]]:
        """The fields in a HEADERS frame. Each must be decoded once, in order."""
        return [(bytes(n), bytes(v)) for n, v in self._decoder.decode(frame.payload, raw=True)]

    def headers(
        self, stream_id: int, fields: Pairs = GET, *, end: bool = True, flags: int = 4
    ) -> bytes:
        return frames.write_frame(
            frames.HEADERS, flags | (1 if end else 0), stream_id, self.block(fields)
        )

    def frames(self) -> list[Frame]:
        """The frames that the session has sent since the last call."""
        self._reader.receive(self.session.take_output())
        return list(self._frames())

    def _frames(self) -> Iterator[Frame]:
        while self._reader.has_frame:
            yield self._reader.take()

    def goaway(self) -> tuple[int, ErrorCodes] | None:
        """The last stream and the code of the GOAWAY frame among those that came."""
        return next((goaway(frame) for frame in self.frames() if frame.type == frames.GOAWAY), None)

    def window_of(self, stream_id: int, sent: int, size: int = INITIAL_WINDOW) -> int:
        """What is left of a window of this size, after so many bytes and the credit that came."""
        return (
            size
            - sent
            + sum(
                number(frame)
                for frame in self.frames()
                if frame.type == frames.WINDOW_UPDATE and frame.stream_id == stream_id
            )
        )

    def respond(self, stream_id: int, body: bytes = b"hello") -> None:
        """Let the session send a response."""
        self.session.send_head(stream_id, OK, end=not body)
        if body:
            self.session.send_data(stream_id, body, end=True)

    def resets(self) -> list[tuple[int, ErrorCodes]]:
        """The streams that were reset, with the code."""
        return [
            (frame.stream_id, ErrorCodes(number(frame)))
            for frame in self.frames()
            if frame.type == frames.RST_STREAM
        ]


def data(stream_id: int, payload: bytes = b"", *, end: bool = False) -> bytes:
    return frames.write_frame(frames.DATA, 1 if end else 0, stream_id, payload)


def reset(stream_id: int, code: ErrorCodes = ErrorCodes.CANCEL) -> bytes:
    return frames.write_reset(stream_id, code)


def window_update(stream_id: int, increment: int) -> bytes:
    return frames.write_window_update(stream_id, increment)


def settings(*pairs: tuple[int, int]) -> bytes:
    return frames.write_settings(list(pairs))


def number(frame: Frame) -> int:
    """What a RST_STREAM or WINDOW_UPDATE frame says."""
    return int.from_bytes(frame.payload[:4], "big")


def goaway(frame: Frame) -> tuple[int, ErrorCodes]:
    last, code = struct.unpack(">LL", frame.payload[:8])
    return last, ErrorCodes(code)
