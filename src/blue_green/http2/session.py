"""An HTTP/2 connection without its socket: bytes in, events out, bytes out (RFC 9113).

`FrameScreen` judges each frame by itself, h2 (`Judge`) the states of streams, and `Receiver` the
rest: the number of streams, content-length, the windows of what clients send, and what a frame on a
closed stream means. A fault of one stream resets that stream, and no other notices.
"""

import time
from collections.abc import Callable, Sequence

from attrs import frozen
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from h2.stream import StreamInputs
from hpack import HeaderTuple

from blue_green.http2 import frames
from blue_green.http2.events import Event
from blue_green.http2.floods import Floods
from blue_green.http2.frames import MAX_FRAME_SIZE, FrameReader
from blue_green.http2.header_blocks import RememberingDecoder
from blue_green.http2.header_encoder import RememberingEncoder
from blue_green.http2.judge import Judge
from blue_green.http2.outbox import Outbox
from blue_green.http2.receiver import OUR_PING, Receiver
from blue_green.http2.screen import FrameScreen
from blue_green.http2.session_over import SessionOver
from blue_green.http2.stream_table import StreamTable
from blue_green.http2.windows import INITIAL_WINDOW, ReceiveWindow

__all__ = ["ErrorCodes", "Session", "SessionLimits", "SessionOver"]

READING_WINDOW = 1024 * 1024
"""Bytes of a request's body that may be on their way while somebody reads it."""
CONNECTION_WINDOW = 2 * READING_WINDOW
"""The same for all streams together. It opens again whoever reads: each stream has its own."""
INFORMATIONAL = StreamInputs.SEND_INFORMATIONAL_HEADERS
LARGEST_VALUE = 2**31 - 1
"""Of a setting that we send. A field has 32 bits, and some clients read it as a signed number."""
NO_LAST_STREAM = 2**31 - 1
"""In a GOAWAY that announces another one (section 6.8)."""


@frozen
class SessionLimits:
    """What one client may do on one connection."""

    max_streams: int = 100
    max_resets: int = 1000
    """In ten seconds."""
    max_control_frames: int = 1000
    """In ten seconds."""
    max_head: int = 16 * 1024
    """Bytes of a request's head in HTTP/1.1."""

    @property
    def largest_block(self) -> int:
        """Bytes that a header block may have. A larger one ends the connection.

        hpack takes 0.2 ms for a KiB, and cannot stop in between.
        """
        return self.max_head + 4 * 1024

    @property
    def largest_list(self) -> int:
        """The same for the fields of a block (section 6.5.2).

        A smaller list that is over `max_head` gets a response.
        """
        return 2 * self.max_head + 16 * 1024


class Session:
    """The state of one connection."""

    def __init__(self, limits: SessionLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._outbox = outbox = Outbox()
        self._encoder = RememberingEncoder()
        self._decoder = RememberingDecoder()
        self._judge = Judge(_settings(limits), self._encoder)
        self._streams = StreamTable(self._judge, outbox)
        self._floods = Floods(limits.max_resets, limits.max_control_frames, clock)
        self._reader = FrameReader()
        self._screen = FrameScreen(self._reader, self._floods)
        self._receiver = Receiver(self._streams, outbox, self._floods, self._decoder)
        self._is_over = False
        self._apply_limits()
        self._receiver.expected_acks = 1
        outbox.add(self._judge.data_to_send())
        outbox.widen(0, self._receiver.window.widen(CONNECTION_WINDOW))

    @property
    def limits(self) -> SessionLimits:
        return self._limits

    @limits.setter
    def limits(self, limits: SessionLimits) -> None:
        """Apply other limits, and send the client those that it has to know."""
        before, self._limits = _settings(self._limits), limits
        self._apply_limits()
        if _settings(limits) != before:
            self._judge.update_settings(dict(_settings(limits).items()))
            self._outbox.add(self._judge.data_to_send())
            self._receiver.expected_acks += 1

    def _apply_limits(self) -> None:
        limits, receiver = self._limits, self._receiver
        receiver.max_streams, receiver.max_head = limits.max_streams, limits.max_head
        self._screen.max_block = limits.largest_block
        self._decoder.max_header_list_size = limits.largest_list
        self._floods.set_limits(limits.max_resets, limits.max_control_frames)

    # What the client sends.

    def receive(self, data: bytes) -> None:
        self._reader.receive(data)

    @property
    def has_frame(self) -> bool:
        """A whole frame has arrived, or the beginning of one that is refused."""
        return self._reader.has_frame and not self._is_over

    @property
    def is_heavy(self) -> bool:
        """The next frame completes a header block that takes long to decode."""
        return self._screen.is_heavy

    @property
    def is_partial(self) -> bool:
        """Part of a frame, or of a header block, has arrived."""
        return self._screen.is_partial

    @property
    def is_in_head(self) -> bool:
        """Part of a header block has arrived, or the client's preface has not."""
        return self._screen.is_in_head

    def step(self) -> Sequence[Event]:
        """Take one frame, and return its events.

        Only if `has_frame`. Raises `SessionOver` after a GOAWAY frame was put into the output.
        """
        try:
            frame = self._screen.take()
            return () if frame is None else self._receiver.receive(frame)
        except SessionOver as over:
            self._is_over = True
            self._outbox.goaway(self._streams.last_id, over.code, str(over))
            self._streams.abandon()
            raise

    # What we send.

    @property
    def open_streams(self) -> int:
        """Streams that are not closed on both sides."""
        return len(self._streams)

    @property
    def pending(self) -> int:
        """Bytes of output."""
        return self._outbox.pending

    def take_output(self) -> bytes:
        return self._outbox.take()

    def send_head(self, stream_id: int, fields: Sequence[HeaderTuple], *, end: bool) -> None:
        """Send a response's head, an informational one (1xx), or trailers.

        Like the other methods for one stream, it does nothing if the stream is closed.
        """
        stream = self._streams.get(stream_id)
        if stream is None or not stream.is_sending:
            return
        name, value = fields[0] if fields else (b"", b"")
        is_informational = name == b":status" and value[:1] == b"1"
        kind = INFORMATIONAL if is_informational else StreamInputs.SEND_HEADERS
        stream.pass_on(kind, StreamInputs.SEND_END_STREAM if end else None)
        block = self._encoder.encode(fields)
        self._outbox.add(frames.write_header_block(stream_id, block, end=end))
        if end:
            self._streams.discard_if_closed(stream)

    def is_sending(self, stream_id: int) -> bool:
        """Whether the client still takes something on this stream."""
        stream = self._streams.get(stream_id)
        return stream is not None and stream.is_sending

    def room(self, stream_id: int) -> int:
        """Bytes of data that the windows of the stream and of the connection allow now."""
        stream = self._streams.get(stream_id)
        if stream is None:
            return 0
        allowed = stream.judged.outbound_flow_control_window
        return max(0, min(self._judge.outbound_flow_control_window, allowed))

    def window(self, stream_id: int) -> int:
        """Bytes of data that the window of the stream alone allows; 0 if it is closed."""
        if self._streams.get(stream_id) is None:
            return 0
        return self._judge.streams[stream_id].outbound_flow_control_window

    @property
    def has_room(self) -> bool:
        """Whether the window of the connection allows more data."""
        return self._judge.outbound_flow_control_window > 0

    def send_data(self, stream_id: int, data: bytes | memoryview, *, end: bool) -> None:
        """Send some of a body: at most what there is `room` for."""
        stream = self._streams.get(stream_id)
        if stream is None or not stream.is_sending:
            return
        stream.pass_on(StreamInputs.SEND_DATA, StreamInputs.SEND_END_STREAM if end else None)
        count = len(data)
        self._judge.outbound_flow_control_window -= count
        stream.judged.outbound_flow_control_window -= count
        self._floods.data_sent(count, fills_window=not self.room(stream_id))
        size = MAX_FRAME_SIZE  # Each client accepts it, and a larger one delays its other streams.
        for start in range(0, count or 1, size):
            part = data[start : start + size]
            flags = frames.END_STREAM if end and start + size >= count else 0
            self._outbox.add(frames.frame_header(len(part), frames.DATA, flags, stream_id))
            self._outbox.add(bytes(part))
        if end:
            self._streams.discard_if_closed(stream)

    def credit(self, stream_id: int, count: int) -> None:
        """Note that so many bytes of a body are used, so that the client may send more."""
        stream = self._streams.get(stream_id)
        if stream is not None and stream.window is not None and stream.is_receiving:
            self._outbox.widen(stream_id, stream.window.use(count))

    def widen(self, stream_id: int) -> None:
        """Let more of a body be on its way at a time, because somebody reads it."""
        stream = self._streams.get(stream_id)
        if stream is not None and stream.is_receiving:
            stream.window = stream.window or ReceiveWindow()
            self._outbox.widen(stream_id, stream.window.widen(READING_WINDOW))

    def finish(self, stream_id: int) -> None:
        """Close a stream whose response is complete: the rest of its request is of no use (8.1).

        A response that is not complete must not look as if it were, so it ends with an error.
        """
        stream = self._streams.get(stream_id)
        if stream is not None:
            is_complete = not stream.is_sending
            code = ErrorCodes.NO_ERROR if is_complete else ErrorCodes.INTERNAL_ERROR
            self._streams.reset(stream, code)

    def reset(self, stream_id: int, code: ErrorCodes) -> None:
        stream = self._streams.get(stream_id)
        if stream is not None:
            self._streams.reset(stream, code)

    def ping(self) -> None:
        """Ask for a `PingAnswered`."""
        self._receiver.expected_pings += 1
        self._outbox.add(frames.write_frame(frames.PING, 0, 0, OUR_PING))

    def announce_close(self) -> None:
        """Ask the client to open no more streams. Those that it opens meanwhile are served."""
        self._outbox.goaway(NO_LAST_STREAM, ErrorCodes.NO_ERROR)

    def refuse_streams(self) -> None:
        """Ignore streams that are opened from now on. The client may repeat their requests."""
        if self._streams.serve_no_more() and not self._is_over:
            self._outbox.goaway(self._streams.last_id, ErrorCodes.NO_ERROR)

    def close(self) -> None:
        """Free the memory of the session, which receives nothing more."""
        self._is_over = True
        self._judge.close()


def _settings(limits: SessionLimits) -> dict[SettingCodes, int]:
    return {
        SettingCodes.MAX_CONCURRENT_STREAMS: min(limits.max_streams, LARGEST_VALUE),
        SettingCodes.MAX_HEADER_LIST_SIZE: min(limits.max_head, LARGEST_VALUE),
        SettingCodes.INITIAL_WINDOW_SIZE: INITIAL_WINDOW,
        SettingCodes.MAX_FRAME_SIZE: MAX_FRAME_SIZE,
        SettingCodes.ENABLE_CONNECT_PROTOCOL: 1,
    }
