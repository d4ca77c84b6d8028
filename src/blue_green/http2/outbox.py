"""What is to be sent on an HTTP/2 connection: frames, as bytes."""

from h2.errors import ErrorCodes

from blue_green.http2 import frames


class Outbox:
    """Frames that are to be sent, in order."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.pending = 0
        """Bytes."""

    def add(self, data: bytes) -> None:
        self._parts.append(data)
        self.pending += len(data)

    def take(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        self.pending = 0
        return data

    def widen(self, stream_id: int, increment: int) -> None:
        """Allow the client so many bytes more on a stream, or on all together if it is 0."""
        if increment:
            self.add(frames.write_window_update(stream_id, increment))

    def goaway(self, last_stream_id: int, code: ErrorCodes, why: str = "") -> None:
        self.add(frames.write_goaway(last_stream_id, code, why))
