"""Frames of HTTP/2 as they lie on the wire, valid or not."""

from collections.abc import Mapping
from enum import IntEnum

import hpack
from attrs import frozen
from h2.errors import ErrorCodes

END_STREAM = ACK = 0x01
END_HEADERS = 0x04
PADDED = 0x08
PRIORITY = 0x20
"""Flags (RFC 9113 section 6)."""


HEADER = 9
"""Bytes before the payload."""


class FrameType(IntEnum):
    """The types of frames (RFC 9113 section 6)."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


TYPES, CODES = frozenset(map(int, FrameType)), frozenset(map(int, ErrorCodes))
"""The numbers that have names."""


@frozen
class WireFrame:
    """A frame that the server has sent."""

    type: int
    flags: int
    stream_id: int
    payload: bytes
    fields: tuple[tuple[str, str], ...] = ()
    """Of the header block that ends with this frame."""

    @property
    def ends_stream(self) -> bool:
        return self.type in (FrameType.DATA, FrameType.HEADERS) and bool(self.flags & END_STREAM)

    @property
    def error(self) -> int:
        """The error code of RST_STREAM and GOAWAY."""
        start = 4 if self.type == FrameType.GOAWAY else 0
        return int.from_bytes(self.payload[start : start + 4])

    @property
    def last_stream_id(self) -> int:
        """Of GOAWAY."""
        return int.from_bytes(self.payload[:4]) & 0x7FFFFFFF

    @property
    def settings(self) -> Mapping[int, int]:
        """The values of SETTINGS, by their identifiers."""
        entries = (self.payload[at : at + 6] for at in range(0, len(self.payload), 6))
        return {int.from_bytes(entry[:2]): int.from_bytes(entry[2:]) for entry in entries}

    def __str__(self) -> str:
        name = FrameType(self.type).name if self.type in TYPES else f"type {self.type}"
        what = ""
        if self.type in (FrameType.RST_STREAM, FrameType.GOAWAY):
            code = self.error
            what = f" {ErrorCodes(code).name if code in CODES else code}"
        elif self.fields:
            what = f" {dict(self.fields)}"
        return f"{name} on {self.stream_id}, flags {self.flags:#x}, {len(self.payload)} bytes{what}"


class ReceivedFrames:
    """Makes frames of what a server sends, with the fields of its header blocks."""

    def __init__(self) -> None:
        self._decoder = hpack.Decoder()
        self._block = b""
        """Of a header block, what has arrived."""
        self._block_ends_stream = False

    def parse(self, header: bytes, payload: bytes) -> WireFrame:
        """The next frame. One that ends a header block has its fields, and its END_STREAM."""
        stream_id = int.from_bytes(header[5:]) & 0x7FFFFFFF
        got = WireFrame(header[3], header[4], stream_id, payload)
        if got.type == FrameType.HEADERS:
            self._block, self._block_ends_stream = b"", got.ends_stream
        elif got.type != FrameType.CONTINUATION:
            return got
        self._block += payload
        if not got.flags & END_HEADERS:
            return WireFrame(got.type, got.flags & ~END_STREAM, stream_id, payload)
        raw = self._decoder.decode(self._block, raw=True)
        fields = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in raw)
        flags = got.flags | (END_STREAM if self._block_ends_stream else 0)
        return WireFrame(FrameType.HEADERS, flags, stream_id, payload, fields)


def frame(type: int, stream_id: int = 0, payload: bytes = b"", flags: int = 0) -> bytes:
    """A frame, whether or not it makes sense."""
    return b"%b%c%c%b%b" % (len(payload).to_bytes(3), type, flags, stream_id.to_bytes(4), payload)


def settings(values: Mapping[int, int]) -> bytes:
    """A SETTINGS frame."""
    entries = (key.to_bytes(2) + value.to_bytes(4) for key, value in values.items())
    return frame(FrameType.SETTINGS, 0, b"".join(entries))
