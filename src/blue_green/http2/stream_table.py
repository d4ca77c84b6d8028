"""The open streams of a connection, and what is remembered of closed ones."""

from h2.errors import ErrorCodes
from h2.events import Event as JudgeEvent
from h2.settings import SettingCodes
from h2.stream import StreamInputs

from blue_green.http2 import frames
from blue_green.http2.frames import Frame
from blue_green.http2.judge import Judge
from blue_green.http2.open_stream import OpenStream
from blue_green.http2.outbox import Outbox

MOST_REMEMBERED = 256
"""Streams that we reset and of which frames may still be on their way."""


class StreamTable:
    """Opens and closes streams, as h2 has it."""

    def __init__(self, judge: Judge, outbox: Outbox) -> None:
        self._judge = judge
        self._outbox = outbox
        self._open: dict[int, OpenStream] = {}
        self._reset_by_us: dict[int, None] = {}
        self._last_served: int | None = None

    def __len__(self) -> int:
        return len(self._open)

    @property
    def last_id(self) -> int:
        """The identifier of the last stream that was opened."""
        return self._judge.highest_inbound_stream_id

    def get(self, stream_id: int) -> OpenStream | None:
        return self._open.get(stream_id)

    def show(self, frame: bytes) -> list[JudgeEvent]:
        """Let h2 judge a frame, and send its reply. Raises `SessionOver`."""
        events = self._judge.show(frame)
        reply = self._judge.data_to_send()
        if reply:
            self._outbox.add(reply)
        return events

    def show_header(self, frame: Frame) -> list[JudgeEvent]:
        """The same for HEADERS and DATA, whose content does not matter to h2."""
        flags = frames.END_HEADERS | (frame.flags & frames.END_STREAM)
        return self.show(frames.frame_header(0, frame.type, flags, frame.stream_id))

    def open(self, stream_id: int, *, ends: bool) -> OpenStream:
        """Open the stream of a request, whose identifier is higher than all before."""
        stream = OpenStream(stream_id, self._judge.open_stream(stream_id, ends=ends))
        self._open[stream_id] = stream
        return stream

    def discard_if_closed(self, stream: OpenStream) -> None:
        if stream.is_closed:
            self._open.pop(stream.stream_id, None)

    def reset(self, stream: OpenStream, code: ErrorCodes) -> None:
        stream.pass_on(StreamInputs.SEND_RST_STREAM)
        self._outbox.add(frames.write_reset(stream.stream_id, code))
        del self._open[stream.stream_id]
        if len(self._reset_by_us) >= MOST_REMEMBERED:
            del self._reset_by_us[next(iter(self._reset_by_us))]
        self._reset_by_us[stream.stream_id] = None

    def abandon(self) -> None:
        """Send nothing more on any stream: the connection ends with an error (section 5.4.1)."""
        self._open.clear()

    def apply_settings(self, payload: bytes) -> bool:
        """Let h2 apply the client's settings; whether there may be room for more data now."""
        known = self._judge.known_settings(payload)
        windows = [value for code, value in known if code == SettingCodes.INITIAL_WINDOW_SIZE]
        for code, value in known:
            if code == SettingCodes.HEADER_TABLE_SIZE:  # h2 sees the last one only.
                self._judge.encoder.header_table_size = value
        self._judge.forget_closed_streams()  # Their windows may not be opened further.
        self.show(frames.write_settings(known))
        return bool(windows)

    def serve_no_more(self) -> bool:
        """Ignore all streams that are opened from now on; whether that is news."""
        if self._last_served is not None:
            return False
        self._last_served = self.last_id
        return True

    def is_ignored(self, stream_id: int) -> bool:
        """What arrives on this stream means nothing, and is no fault of the client (section 5.1).

        We have reset it, or it came after the last one that we serve.
        """
        last = self._last_served
        return stream_id in self._reset_by_us or (last is not None and stream_id > last)
