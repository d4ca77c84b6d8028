"""Frames: split off the bytes that have arrived, and written (RFC 9113 sections 3.4 and 4.1)."""

from struct import Struct
from typing import NamedTuple

from h2.errors import ErrorCodes

from blue_green.http2.session_over import SessionOver

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MAX_FRAME_SIZE = 16384
"""The largest payload that we accept, and that we send: what every peer has to accept."""
HEADER_SIZE = 9
LONGEST_WHY = 200

(
    DATA,
    HEADERS,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    PUSH_PROMISE,
    PING,
    GOAWAY,
    WINDOW_UPDATE,
    CONTINUATION,
) = range(10)
"""Types of frames."""
TYPE_NAMES = (
    "DATA",
    "HEADERS",
    "PRIORITY",
    "RST_STREAM",
    "SETTINGS",
    "PUSH_PROMISE",
    "PING",
    "GOAWAY",
    "WINDOW_UPDATE",
    "CONTINUATION",
)

END_STREAM = ACK = 0x01
END_HEADERS = 0x04
PADDED = 0x08
HAS_PRIORITY = 0x20

_HEADER = Struct(">HBBBL")
_NUMBER = Struct(">L")
_SETTING = Struct(">HL")


class StreamFault(NamedTuple):
    """A stream error (section 5.4.2)."""

    code: ErrorCodes
    why: str


class Frame(NamedTuple):
    """A frame that was received; HEADERS with all CONTINUATION frames that belong to it."""

    type: int
    flags: int
    stream_id: int
    payload: bytes
    """Without padding, and without the priority in HEADERS."""
    size: int
    """The bytes that the payload had with both, which count for flow control."""
    fault: StreamFault | None = None


class FrameReader:
    """The bytes that have arrived and are not yet taken as frames.

    No more is read from a client while a whole frame waits here, so these are at most one frame
    and one read.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._is_at_preface = True

    def receive(self, data: bytes) -> None:
        self._buffer += data
        if self._is_at_preface and self._buffer.startswith(PREFACE):
            del self._buffer[: len(PREFACE)]
            self._is_at_preface = False

    @property
    def is_at_preface(self) -> bool:
        """The client has not sent the whole connection preface."""
        return self._is_at_preface

    @property
    def is_partial(self) -> bool:
        return bool(self._buffer)

    @property
    def has_frame(self) -> bool:
        """Whether `take` returns a frame, or raises `SessionOver`."""
        buffer = self._buffer
        if self._is_at_preface:
            return not PREFACE.startswith(buffer)
        if len(buffer) < HEADER_SIZE:
            return False
        length = buffer[0] << 16 | buffer[1] << 8 | buffer[2]
        return len(buffer) >= HEADER_SIZE + length or length > MAX_FRAME_SIZE

    def peek(self) -> tuple[int, int, int]:
        """Type, flags and length of the frame whose header has arrived; type -1 without one."""
        buffer = self._buffer
        if self._is_at_preface or len(buffer) < HEADER_SIZE:
            return -1, 0, 0
        return buffer[3], buffer[4], buffer[0] << 16 | buffer[1] << 8 | buffer[2]

    def take(self) -> Frame:
        """The next frame; only if `has_frame`.

        Raises `SessionOver` for a wrong preface, and for a frame that is too large as soon as its
        header is there (section 4.2).
        """
        if self._is_at_preface:
            raise SessionOver(ErrorCodes.PROTOCOL_ERROR, "the connection preface is wrong")
        buffer = self._buffer
        high, low, type_, flags, stream_id = _HEADER.unpack_from(buffer)
        length = high << 8 | low
        if length > MAX_FRAME_SIZE:
            why = f"a frame has {length} bytes, and not {MAX_FRAME_SIZE} at most"
            raise SessionOver(ErrorCodes.FRAME_SIZE_ERROR, why)
        end = HEADER_SIZE + length
        payload = bytes(buffer[HEADER_SIZE:end])
        del buffer[:end]
        return Frame(type_, flags, stream_id & 0x7FFFFFFF, payload, length)


def frame_header(length: int, type_: int, flags: int, stream_id: int) -> bytes:
    return _HEADER.pack(length >> 8, length & 0xFF, type_, flags, stream_id)


def write_frame(type_: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    return frame_header(len(payload), type_, flags, stream_id) + payload


def write_settings(settings: list[tuple[int, int]]) -> bytes:
    return write_frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(*pair) for pair in settings))


def write_window_update(stream_id: int, increment: int) -> bytes:
    return write_frame(WINDOW_UPDATE, 0, stream_id, _NUMBER.pack(increment))


def write_reset(stream_id: int, code: ErrorCodes) -> bytes:
    return write_frame(RST_STREAM, 0, stream_id, _NUMBER.pack(code))


def write_goaway(last_stream_id: int, code: ErrorCodes, why: str = "") -> bytes:
    """`why` is for whoever looks at the client's log: its first bytes."""
    payload = _NUMBER.pack(last_stream_id) + _NUMBER.pack(code) + why.encode()[:LONGEST_WHY]
    return write_frame(GOAWAY, 0, 0, payload)


def write_header_block(stream_id: int, block: bytes, *, end: bool) -> bytes:
    """A HEADERS frame, and CONTINUATION frames if the block is too large for one."""
    size = MAX_FRAME_SIZE
    flags = END_STREAM if end else 0
    if len(block) <= size:
        return frame_header(len(block), HEADERS, flags | END_HEADERS, stream_id) + block
    parts = [block[start : start + size] for start in range(0, len(block), size)]
    frames = [write_frame(HEADERS, flags, stream_id, parts[0])]
    frames += [write_frame(CONTINUATION, 0, stream_id, part) for part in parts[1:-1]]
    frames.append(write_frame(CONTINUATION, END_HEADERS, stream_id, parts[-1]))
    return b"".join(frames)


def read_number(payload: bytes) -> int:
    """The 31 bits of a window's increment or a stream's identifier at the start of a payload."""
    return int.from_bytes(payload[:4], "big") & 0x7FFFFFFF
