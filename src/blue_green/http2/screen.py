"""Judges each frame by itself, before h2 does, and puts header blocks together.

h2 ends the whole connection for some faults of one stream, finds a frame too large only when all of
it has arrived, and has codes of its own for some errors. Sections are those of RFC 9113.
"""

from h2.errors import ErrorCodes

from blue_green.http2.floods import Floods
from blue_green.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HAS_PRIORITY,
    HEADERS,
    MAX_FRAME_SIZE,
    PADDED,
    PING,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    TYPE_NAMES,
    WINDOW_UPDATE,
    Frame,
    FrameReader,
    StreamFault,
    read_number,
)
from blue_green.http2.session_over import SessionOver

MORE_CONTINUATIONS = 8
"""CONTINUATION frames that a block may have beyond those that its largest size needs."""
HEAVY_BLOCK = 1024
"""Bytes of a header block that may take long to decode: a byte can be a field."""

ON_STREAMS = {DATA, HEADERS, PRIORITY, RST_STREAM, CONTINUATION}
ON_CONNECTION = {SETTINGS, PING, GOAWAY}
LENGTHS = {RST_STREAM: 4, PING: 8, WINDOW_UPDATE: 4}


class FrameScreen:
    """Takes the frames of one connection from its bytes, and refuses what is wrong in itself."""

    def __init__(self, reader: FrameReader, floods: Floods) -> None:
        self._reader = reader
        self._floods = floods
        self.max_block = 0
        """Bytes that a header block may have."""
        self._is_first = True
        self._head: Frame | None = None
        """The HEADERS frame of an incomplete block; its payload is in `_block`."""
        self._block = bytearray()
        self._continuations = 0

    @property
    def is_in_head(self) -> bool:
        """Part of a header block, or of the connection preface, has arrived."""
        reader = self._reader
        return self._head is not None or reader.is_at_preface or reader.peek()[0] == HEADERS

    @property
    def is_partial(self) -> bool:
        return self._head is not None or self._reader.is_partial

    @property
    def is_heavy(self) -> bool:
        type_, flags, length = self._reader.peek()
        return (
            type_ in (HEADERS, CONTINUATION)
            and flags & END_HEADERS != 0
            and length + len(self._block) > HEAVY_BLOCK
        )

    def take(self) -> Frame | None:
        """Take one frame; None if nothing follows from it (yet).

        Only if the reader has one. Raises `SessionOver`.
        """
        frame = self._reader.take()
        if self._head is not None or frame.type == CONTINUATION:
            return self._continue_block(frame)
        if self._is_first:
            self._check_first(frame)
        if frame.type == HEADERS and frame.stream_id:
            return self._begin_block(frame)
        if frame.type == DATA and frame.stream_id:
            return self._data(frame)
        if frame.type > CONTINUATION:  # Section 5.5.
            self._floods.control_frame()
            return None
        return self._control_frame(frame)

    def _check_first(self, frame: Frame) -> None:
        """Section 3.4."""
        if frame.type != SETTINGS or frame.flags & ACK:
            raise _protocol_error("the connection preface has no SETTINGS frame")
        self._is_first = False

    def _data(self, frame: Frame) -> Frame:
        if frame.flags & PADDED:
            frame = frame._replace(payload=_without_padding(frame.payload))
        if not frame.payload and not frame.flags & END_STREAM:
            self._floods.control_frame()
        return frame

    def _begin_block(self, frame: Frame) -> Frame | None:
        payload, fault = frame.payload, None
        if frame.flags & PADDED:
            payload = _without_padding(payload)
        if frame.flags & HAS_PRIORITY:
            if len(payload) < 5:
                raise _size_error("a HEADERS frame is too short for its priority")
            if read_number(payload) == frame.stream_id:
                fault = _depends_on_itself()
            payload = payload[5:]
        if payload is not frame.payload:
            frame = frame._replace(payload=payload, fault=fault)
        if len(payload) > self.max_block:
            raise self._too_large()
        if frame.flags & END_HEADERS:
            return frame
        self._head = frame
        self._block += payload
        return None

    def _continue_block(self, frame: Frame) -> Frame | None:
        head = self._head
        if head is None or frame.type != CONTINUATION or frame.stream_id != head.stream_id:
            raise _protocol_error("a header block is not continuous")  # Sections 4.3 and 6.10.
        if not frame.payload:
            self._floods.control_frame()
        self._block += frame.payload
        self._continuations += 1
        most = self.max_block // MAX_FRAME_SIZE + MORE_CONTINUATIONS
        if len(self._block) > self.max_block:
            raise self._too_large()
        if self._continuations > most:
            why = f"a header block has more than {most} CONTINUATION frames"
            raise SessionOver(ErrorCodes.ENHANCE_YOUR_CALM, why)
        if not frame.flags & END_HEADERS:
            return None
        whole = head._replace(payload=bytes(self._block))
        self._head, self._continuations = None, 0
        self._block.clear()
        return whole

    def _too_large(self) -> SessionOver:
        why = f"a header block has over {self.max_block} bytes, which is [proxy] max_head and 4 KiB"
        return SessionOver(ErrorCodes.ENHANCE_YOUR_CALM, why)

    def _control_frame(self, frame: Frame) -> Frame | None:
        type_, stream_id = frame.type, frame.stream_id
        name = TYPE_NAMES[type_]
        if type_ == PUSH_PROMISE:
            raise _protocol_error("a client sent PUSH_PROMISE")  # Section 8.4.
        if type_ in ON_STREAMS and not stream_id:
            raise _protocol_error(f"a frame of type {name} is on no stream")
        if type_ in ON_CONNECTION and stream_id:
            raise _protocol_error(f"a frame of type {name} is on a stream")
        if frame.size != LENGTHS.get(type_, frame.size):
            raise _size_error(f"a frame of type {name} has {frame.size} bytes")
        if type_ == PRIORITY:
            return self._priority(frame)
        if type_ == SETTINGS and (frame.size if frame.flags & ACK else frame.size % 6):
            raise _size_error(f"a frame of type {name} has {frame.size} bytes")  # Section 6.5.
        if type_ == GOAWAY and frame.size < 8:
            raise _size_error("a GOAWAY frame is too short")
        if type_ == WINDOW_UPDATE:
            return _window_update(frame)
        if type_ == GOAWAY:
            self._floods.control_frame()
        return frame

    def _priority(self, frame: Frame) -> Frame | None:
        """Section 5.3.2: priorities are deprecated, and ignored."""
        self._floods.control_frame()
        if frame.size != 5:  # Section 6.3.
            fault = StreamFault(ErrorCodes.FRAME_SIZE_ERROR, "a PRIORITY frame has not 5 bytes")
            return frame._replace(fault=fault)
        if read_number(frame.payload) == frame.stream_id:
            return frame._replace(fault=_depends_on_itself())
        return None


def _window_update(frame: Frame) -> Frame:
    if read_number(frame.payload):
        return frame
    why = "a WINDOW_UPDATE frame has an increment of 0"  # Section 6.9.
    if not frame.stream_id:
        raise _protocol_error(why)
    return frame._replace(fault=StreamFault(ErrorCodes.PROTOCOL_ERROR, why))


def _without_padding(payload: bytes) -> bytes:
    """Section 6.1."""
    if not payload:
        raise _size_error("a padded frame has no length of its padding")
    end = len(payload) - payload[0]
    if end < 1:
        raise _protocol_error("the padding of a frame is longer than the frame")
    return payload[1:end]


def _depends_on_itself() -> StreamFault:
    """RFC 7540 section 5.3.1."""
    return StreamFault(ErrorCodes.PROTOCOL_ERROR, "a stream depends on itself")


def _protocol_error(why: str) -> SessionOver:
    return SessionOver(ErrorCodes.PROTOCOL_ERROR, why)


def _size_error(why: str) -> SessionOver:
    return SessionOver(ErrorCodes.FRAME_SIZE_ERROR, why)
