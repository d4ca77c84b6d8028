"""Follow a WebSocket's frames by their headers (RFC 6455 section 5.2)."""

CLOSE = 0x8
SERVICE_RESTART = 1012
"""Close code: reconnect, perhaps to another server (RFC 6455 section 7.4, IANA's registry)."""

GOING_AWAY = bytes((0x80 | CLOSE, 2)) + SERVICE_RESTART.to_bytes(2)
"""A whole close frame, as a server sends it: without a mask."""


class Frames:
    """Follows the frames of one direction. It neither reads nor checks their content."""

    __slots__ = ("_header", "has_closed", "left")

    def __init__(self) -> None:
        self.left = 0
        """Bytes left of the current frame."""
        self.has_closed = False
        """A close frame has begun."""
        self._header = b""
        """The header of the next frame, as far as it has arrived."""

    @property
    def are_whole(self) -> bool:
        """The last frame has ended."""
        return not self.left and not self._header

    def follow(self, data: bytes, *, only_this: bool = False) -> int:
        """Take note of the next bytes; how many of them belong to the stream.

        All of them, or, with `only_this`, only those up to the end of the current frame.
        """
        at, end = 0, len(data)
        while at < end and not (only_this and self.are_whole):
            if self.left:
                step = min(self.left, end - at)
                self.left -= step
            else:
                step = self._take_header(data, at)
            at += step
        return at

    def _take_header(self, data: bytes, at: int) -> int:
        """Parse the header that begins, or goes on, at this index; how many bytes it has there."""
        before = len(self._header)
        header = self._header + data[at : at + 14 - before]
        length = header[1] & 0x7F if len(header) > 1 else 0
        extended = {126: 2, 127: 8}.get(length, 0)
        size = 2 + extended + (4 if len(header) > 1 and header[1] & 0x80 else 0)
        if len(header) < size:
            self._header = header
            return len(header) - before
        self._header = b""
        self.left = int.from_bytes(header[2 : 2 + extended]) if extended else length
        self.has_closed |= header[0] & 0xF == CLOSE
        return size - before
