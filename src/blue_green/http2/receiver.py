"""What each frame of a client means: its events, and the replies to it.

Sections are those of RFC 9113.
"""

import re
from collections.abc import Callable, Sequence
from typing import ClassVar

from h2.errors import ErrorCodes
from h2.events import StreamReset as ResetByJudge
from h2.stream import StreamInputs
from hpack import HPACKError, OversizedHeaderListError

from blue_green.http.heads import Framing
from blue_green.http2 import frames
from blue_green.http2.events import (
    ClientLeaves,
    DataArrived,
    Event,
    PingAnswered,
    RequestBegun,
    RequestEnded,
    RequestMalformed,
    RequestOverLimit,
    RequestRefused,
    StreamReset,
    WindowOpened,
)
from blue_green.http2.field_validity import Malformed
from blue_green.http2.floods import Floods
from blue_green.http2.frames import ACK, END_STREAM, Frame, StreamFault
from blue_green.http2.header_blocks import (
    HeaderBlock,
    RememberingDecoder,
    TooManyFields,
)
from blue_green.http2.open_stream import OpenStream
from blue_green.http2.outbox import Outbox
from blue_green.http2.request_heads import RefusedHead, head_of, read_trailers
from blue_green.http2.session_over import SessionOver
from blue_green.http2.stream_table import StreamTable
from blue_green.http2.windows import ReceiveWindow

TABLE_SIZES = re.compile(rb"(?:[\x20-\x3e]|\x3f[\x80-\xff]*[\x00-\x7f]){3}")
"""Changes of the size of the dynamic table: a block has two at most (RFC 7541 section 4.2)."""
MOST_SETTINGS = 32
"""Settings in one frame. Six have a meaning for us (section 6.5.2; RFC 8441 section 3)."""
OUR_PING = b"\x00blgreen"
"""What our pings carry, to know the answers to them."""


class Receiver:
    """Turns frames that the screen let through into events."""

    def __init__(
        self, streams: StreamTable, outbox: Outbox, floods: Floods, decoder: RememberingDecoder
    ) -> None:
        self._streams = streams
        self._outbox = outbox
        self._floods = floods
        self._decoder = decoder
        self.window = ReceiveWindow()
        """Of all streams together."""
        self.max_streams = 0
        self.max_head = 0
        self.expected_pings = 0
        """Pings of ours that are not answered."""
        self.expected_acks = 0
        """The same for our settings."""
        self._has_left = False

    def receive(self, frame: Frame) -> Sequence[Event]:
        """The events of a frame. Raises `SessionOver`."""
        return self._handlers[frame.type](self, frame)

    def _headers(self, frame: Frame) -> Sequence[Event]:
        block = self._decode(frame.payload)
        stream_id = frame.stream_id
        stream = self._streams.get(stream_id)
        if stream is not None:
            return self._trailers(stream, frame, block)
        if self._streams.is_ignored(stream_id):
            self._floods.control_frame()
            return ()
        if stream_id % 2 == 0:  # Section 5.1.1.
            why = f"a client opened stream {stream_id}, whose number is even"
            raise SessionOver(ErrorCodes.PROTOCOL_ERROR, why)
        if stream_id <= self._streams.last_id:
            # h2 resets it once more, or ends the connection (sections 5.1 and 5.1.1).
            self._streams.show_header(frame)
            self._floods.reset()
            return ()
        is_one_too_many = len(self._streams) >= self.max_streams
        self._floods.request()
        ends = frame.flags & END_STREAM != 0
        stream = self._streams.open(stream_id, ends=ends)
        if is_one_too_many:  # Section 5.1.2.
            self._streams.reset(stream, ErrorCodes.REFUSED_STREAM)
            self._floods.reset()
            return (RequestOverLimit(stream_id),)
        if frame.fault:
            return self._faulty(stream, frame.fault)
        return self._request(stream, block, ends=ends)

    def _decode(self, payload: bytes) -> HeaderBlock:
        if TABLE_SIZES.match(payload):
            why = "a header block changes the size of the table too often"
            raise SessionOver(ErrorCodes.COMPRESSION_ERROR, why)
        try:
            self._decoder.decode(payload, raw=True)
        except TooManyFields as many:
            why = f"a header block {many}"
            raise SessionOver(ErrorCodes.ENHANCE_YOUR_CALM, why) from None
        except OversizedHeaderListError:
            why = (
                f"the fields of a header block have over {self._decoder.max_header_list_size} "
                "bytes, which is twice [proxy] max_head and 16 KiB"
            )
            raise SessionOver(ErrorCodes.ENHANCE_YOUR_CALM, why) from None
        except HPACKError:  # Section 4.3. Its text repeats the block, which may have secrets.
            why = "a header block cannot be decoded"
            raise SessionOver(ErrorCodes.COMPRESSION_ERROR, why) from None
        return self._decoder.block

    def _request(self, stream: OpenStream, block: HeaderBlock, *, ends: bool) -> Sequence[Event]:
        try:
            request, head = head_of(block, ends=ends, limit=self.max_head)
        except Malformed as malformed:
            stream.head = malformed.head
            return self._malformed(stream, str(malformed))
        except RefusedHead as refused:
            stream.head, stream.is_refused = refused.head, True
            return (RequestRefused(stream.stream_id, refused.error, refused.head),)
        stream.head = head
        if request.framing is Framing.LENGTH:
            stream.left = request.length
        begun = RequestBegun(stream.stream_id, request, head)
        if not ends:
            return (begun,)
        if stream.left > 0:
            return self._malformed(stream, "Its content-length is not that of its content.")
        return (begun, RequestEnded(stream.stream_id, []))

    def _trailers(self, stream: OpenStream, frame: Frame, block: HeaderBlock) -> Sequence[Event]:
        if not stream.is_receiving:  # Section 5.1.
            return self._malformed(stream, "HEADERS follow its end.", ErrorCodes.STREAM_CLOSED)
        if frame.fault:
            return self._faulty(stream, frame.fault)
        if not frame.flags & END_STREAM:  # Section 8.1.
            return self._malformed(stream, "Its trailers do not end it.")
        if stream.left > 0 and not stream.is_refused:
            return self._malformed(stream, "Its content-length is not that of its content.")
        try:
            trailers = read_trailers(block.fields)
        except Malformed as malformed:
            return self._malformed(stream, str(malformed))
        stream.pass_on(StreamInputs.RECV_HEADERS, StreamInputs.RECV_END_STREAM)
        self._streams.discard_if_closed(stream)
        return () if stream.is_refused else (RequestEnded(stream.stream_id, trailers),)

    def _data(self, frame: Frame) -> Sequence[Event]:
        stream_id, data, size = frame.stream_id, frame.payload, frame.size
        if not self.window.take(size):
            why = "there is more data than the window of the connection allows"
            raise SessionOver(ErrorCodes.FLOW_CONTROL_ERROR, why)
        self._outbox.widen(0, self.window.use(size))
        stream = self._streams.get(stream_id)
        if stream is None:
            if not self._streams.is_ignored(stream_id):
                self._streams.show_header(frame)
                self._floods.reset()
            return ()
        if not stream.is_receiving:
            return self._malformed(stream, "DATA follow its end.", ErrorCodes.STREAM_CLOSED)
        window = stream.window = stream.window or ReceiveWindow()
        if not window.take(size):
            return self._reset_by_us(stream, ErrorCodes.FLOW_CONTROL_ERROR)
        ends = frame.flags & END_STREAM
        if stream.left >= 0 and not stream.is_refused:
            stream.left -= len(data)
            if stream.left < 0 or (ends and stream.left):
                return self._malformed(stream, "Its content-length is not that of its content.")
        stream.pass_on(StreamInputs.RECV_DATA, StreamInputs.RECV_END_STREAM if ends else None)
        if not ends:
            used = size if stream.is_refused else size - len(data)
            self._outbox.widen(stream_id, window.use(used))
        self._streams.discard_if_closed(stream)
        if stream.is_refused:
            return ()
        if not ends:
            return (DataArrived(stream_id, data),) if data else ()
        end = RequestEnded(stream_id, [])
        return (DataArrived(stream_id, data), end) if data else (end,)

    def _reset(self, frame: Frame) -> Sequence[Event]:
        stream_id = frame.stream_id
        stream = self._streams.get(stream_id)
        if stream is None:
            if self._is_idle(stream_id) and not self._streams.is_ignored(stream_id):  # Section 6.4.
                why = f"an RST_STREAM frame is on stream {stream_id}, which was never opened"
                raise SessionOver(ErrorCodes.PROTOCOL_ERROR, why)
            self._floods.control_frame()
            return ()
        self._streams.show(frames.write_frame(frame.type, 0, stream_id, frame.payload))
        self._streams.discard_if_closed(stream)
        self._floods.reset()
        return (StreamReset(stream_id),)

    def _window_update(self, frame: Frame) -> Sequence[Event]:
        self._floods.window_update()
        stream_id = frame.stream_id
        if frame.fault:
            return self._stream_fault(frame)
        if self._streams.is_ignored(stream_id):
            return ()
        written = frames.write_frame(frame.type, 0, stream_id, frame.payload)
        events = self._streams.show(written)
        stream = self._streams.get(stream_id)
        if any(isinstance(event, ResetByJudge) for event in events) and stream is not None:
            self._streams.discard_if_closed(stream)  # The window is too large (section 6.9.1).
            self._floods.reset()
            return (StreamReset(stream_id),)
        return (WindowOpened(stream_id),) if stream is not None or not stream_id else ()

    def _settings(self, frame: Frame) -> Sequence[Event]:
        if frame.flags & ACK:
            if self.expected_acks:
                self.expected_acks -= 1
            else:
                self._floods.control_frame()
            return ()
        if frame.size > 6 * MOST_SETTINGS:
            why = f"a SETTINGS frame has more than {MOST_SETTINGS} settings"
            raise SessionOver(ErrorCodes.ENHANCE_YOUR_CALM, why)
        changes_windows = self._streams.apply_settings(frame.payload)
        self._floods.control_frame(1 + len(self._streams) if changes_windows else 1)
        return (WindowOpened(0),) if changes_windows else ()

    def _ping(self, frame: Frame) -> Sequence[Event]:
        if frame.flags & ACK and frame.payload == OUR_PING and self.expected_pings:
            self.expected_pings -= 1
            return (PingAnswered(),)
        self._floods.control_frame()
        self._streams.show(frames.write_frame(frame.type, frame.flags, 0, frame.payload))
        return ()

    def _goaway(self, frame: Frame) -> Sequence[Event]:
        if self._has_left:
            return ()
        self._has_left = True
        return (ClientLeaves(),)

    def _stream_fault(self, frame: Frame) -> Sequence[Event]:
        assert frame.fault is not None
        stream = self._streams.get(frame.stream_id)
        if stream is not None:
            return self._faulty(stream, frame.fault)
        if self._is_idle(frame.stream_id) and not self._streams.is_ignored(frame.stream_id):
            # A stream that was never opened cannot be reset (section 6.4).
            raise SessionOver(frame.fault.code, frame.fault.why)
        self._floods.control_frame()
        return ()

    def _faulty(self, stream: OpenStream, fault: StreamFault) -> Sequence[Event]:
        return self._malformed(stream, f"A frame of it is wrong: {fault.why}.", fault.code)

    def _malformed(
        self, stream: OpenStream, why: str, code: ErrorCodes = ErrorCodes.PROTOCOL_ERROR
    ) -> Sequence[Event]:
        self._reset_by_us(stream, code)
        return (RequestMalformed(stream.stream_id, why, stream.head),)

    def _reset_by_us(self, stream: OpenStream, code: ErrorCodes) -> Sequence[Event]:
        self._streams.reset(stream, code)
        self._floods.reset()
        return (StreamReset(stream.stream_id),)

    def _is_idle(self, stream_id: int) -> bool:
        return stream_id > self._streams.last_id or stream_id % 2 == 0

    _handlers: ClassVar[dict[int, Callable[["Receiver", Frame], Sequence[Event]]]] = {
        frames.DATA: _data,
        frames.HEADERS: _headers,
        frames.PRIORITY: _stream_fault,
        frames.RST_STREAM: _reset,
        frames.SETTINGS: _settings,
        frames.PING: _ping,
        frames.GOAWAY: _goaway,
        frames.WINDOW_UPDATE: _window_update,
    }
    """By the type of the frame. Methods of each object would be a reference cycle."""
