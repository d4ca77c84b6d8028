"""A client of HTTP/2 that sends whatever frames it is given, over a TLS socket that blocks.

It keeps no state of streams and no windows, so it can break every rule. It decodes header blocks,
and answers nothing by itself but the server's SETTINGS.
"""

import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Self

import hpack
from attrs import define, field
from h2.errors import ErrorCodes

from tests.raw.tls_client import HOST, trusting
from tests.support.http2_frames import (
    ACK,
    END_HEADERS,
    END_STREAM,
    HEADER,
    FrameType,
    ReceivedFrames,
    WireFrame,
    frame,
    settings,
)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
PROTOCOL = "h2"
WAIT = 15.0
"""Seconds to wait for a frame, and for the socket to take bytes."""

Fields = Iterable[tuple[str, str] | tuple[bytes, bytes]]


@define
class WireResponse:
    """A whole response."""

    status: int = 0
    fields: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    trailers: tuple[tuple[str, str], ...] = ()
    informational: list[int] = field(factory=list)
    """The 1xx statuses that came before."""

    def add(self, got: WireFrame) -> None:
        """Add a frame of its stream."""
        if got.type == FrameType.DATA:
            self.body += got.payload
        elif got.fields and self.status:
            self.trailers = got.fields
        elif got.fields:
            status = int(dict(got.fields)[":status"])
            if status < 200:
                self.informational.append(status)
            else:
                self.status, self.fields = status, got.fields

    def __getitem__(self, name: str) -> str:
        """The value of a field that came exactly once."""
        [value] = [value for known, value in self.fields if known == name]
        return value


def request_fields(
    path: str = "/", method: str = "GET", authority: str = HOST, *more: tuple[str, str]
) -> list[tuple[str, str]]:
    """The fields of a valid request."""
    pseudo = (":method", method), (":scheme", "https"), (":authority", authority), (":path", path)
    return [*pseudo, *more]


class FrameSocket:
    """A connection on which frames are sent and received. All waits are bounded by `WAIT`."""

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self.sock = sock
        self.encoder = hpack.Encoder()
        self.received: list[WireFrame] = []
        """All frames so far."""
        self._passed_over: list[WireFrame] = []
        """Frames that were read while another one was expected, and may be expected yet."""
        self._bytes = b""
        self._parser = ReceivedFrames()

    # --- sending ---

    def send(self, data: bytes) -> None:
        """Send these bytes; raise `OSError` if the server has closed the connection."""
        self.sock.settimeout(WAIT)
        self.sock.sendall(data)

    def send_frame(
        self, type: int, stream_id: int = 0, payload: bytes = b"", flags: int = 0
    ) -> None:
        self.send(frame(type, stream_id, payload, flags))

    def start(self, values: Mapping[int, int] | None = None) -> None:
        """Send the preface and SETTINGS, and acknowledge those of the server."""
        self.send(PREFACE + settings(values or {}))
        self.expect(FrameType.SETTINGS)
        self.send_frame(FrameType.SETTINGS, flags=ACK)

    def headers(self, stream_id: int, fields: Fields, flags: int = END_STREAM) -> bytes:
        """A HEADERS frame with the whole block. Blocks must be sent in the order of the calls."""
        block = self.encoder.encode(fields)
        return frame(FrameType.HEADERS, stream_id, block, flags | END_HEADERS)

    def in_pieces(
        self, stream_id: int, fields: Fields, size: int, flags: int = END_STREAM
    ) -> bytes:
        """HEADERS and CONTINUATION frames with so many bytes each."""
        block = self.encoder.encode(fields)
        pieces = [block[at : at + size] for at in range(0, len(block), size)]
        frames = [frame(FrameType.HEADERS, stream_id, pieces[0], flags)]
        frames += [frame(FrameType.CONTINUATION, stream_id, piece) for piece in pieces[1:-1]]
        return b"".join(
            [*frames, frame(FrameType.CONTINUATION, stream_id, pieces[-1], END_HEADERS)]
        )

    def send_headers(self, stream_id: int, fields: Fields, flags: int = END_STREAM) -> None:
        self.send(self.headers(stream_id, fields, flags))

    def send_request(
        self,
        stream_id: int,
        path: str = "/",
        method: str = "GET",
        *more: tuple[str, str],
        flags: int = END_STREAM,
    ) -> None:
        """A valid request; without `END_STREAM` in the flags, its body follows."""
        self.send_headers(stream_id, request_fields(path, method, HOST, *more), flags)

    def send_data(self, stream_id: int, data: bytes, flags: int = 0) -> None:
        self.send_frame(FrameType.DATA, stream_id, data, flags)

    def reset(self, stream_id: int, code: int = ErrorCodes.CANCEL) -> None:
        self.send_frame(FrameType.RST_STREAM, stream_id, code.to_bytes(4))

    def open_window(self, stream_id: int, by: int) -> None:
        self.send_frame(FrameType.WINDOW_UPDATE, stream_id, by.to_bytes(4))

    def ping(self, data: bytes = b"12345678", flags: int = 0) -> None:
        self.send_frame(FrameType.PING, 0, data, flags)

    def goaway(self, last: int = 0, code: int = ErrorCodes.NO_ERROR) -> None:
        self.send_frame(FrameType.GOAWAY, 0, last.to_bytes(4) + code.to_bytes(4))

    # --- receiving ---

    def read(self, timeout: float = WAIT) -> WireFrame | None:
        """The next frame; None at the end of the connection. Raises `TimeoutError`."""
        deadline = time.monotonic() + timeout
        if (header := self._take(HEADER, deadline)) is None:
            return None
        payload = self._take(int.from_bytes(header[:3]), deadline)
        if payload is None:
            return None
        got = self._parser.parse(header, payload)
        self.received.append(got)
        return got

    def expect(self, type: int, stream_id: int | None = None, timeout: float = WAIT) -> WireFrame:
        """The next frame of this type, on this stream if one is named; others can wait."""
        wanted = f"{FrameType(type).name} on {'any stream' if stream_id is None else stream_id}"

        def is_wanted(got: WireFrame) -> bool:
            return got.type == type and stream_id in (None, got.stream_id)

        return self._next(is_wanted, wanted, timeout)

    def expect_reset(self, stream_id: int, code: int) -> None:
        """Wait for the stream to be reset with this error, and the connection to be in order."""
        got = self.expect(FrameType.RST_STREAM, stream_id)
        assert got.error == code, str(got)
        self.check_alive()

    def expect_end(self, code: int | None = None, timeout: float = WAIT) -> WireFrame | None:
        """Wait for the connection to end, after GOAWAY with this error if one is named."""
        last: WireFrame | None = None
        for got in self.frames_until_end(timeout):
            last = got if got.type == FrameType.GOAWAY else last
        if code is not None:
            assert last is not None, f"no GOAWAY in {[str(frame) for frame in self.received]}"
            assert last.error == code, str(last)
        return last

    def frames_until_end(self, timeout: float = WAIT) -> Iterator[WireFrame]:
        deadline = time.monotonic() + timeout
        while got := self.read(max(0.001, deadline - time.monotonic())):
            yield got

    def response(self, stream_id: int, timeout: float = WAIT) -> WireResponse:
        """The whole response on this stream; fail if it is reset, or the connection ends."""
        response = WireResponse()
        wanted = f"a frame on {stream_id}"
        while True:
            got = self._next(lambda frame: frame.stream_id == stream_id, wanted, timeout)
            assert got.type != FrameType.RST_STREAM, f"{got}, after {response}"
            response.add(got)
            if got.ends_stream:
                return response

    def check_alive(self) -> None:
        """Check that the server answers a PING, and so has handled all that was sent before."""
        data = len(self.received).to_bytes(8)
        self.ping(data)
        got = self.expect(FrameType.PING)
        assert (got.flags & ACK, got.payload) == (ACK, data), str(got)

    def _next(
        self, is_wanted: Callable[[WireFrame], bool], wanted: str, timeout: float
    ) -> WireFrame:
        """The next such frame, of those that were passed over or are still to come."""
        for at, got in enumerate(self._passed_over):
            if is_wanted(got):
                return self._passed_over.pop(at)
        deadline = time.monotonic() + timeout
        while True:
            try:
                read = self.read(max(0.001, deadline - time.monotonic()))
            except TimeoutError:
                why = f"within {timeout:g} s"
                break
            if read is None:
                why = "before the end of the connection"
                break
            if is_wanted(read):
                return read
            self._passed_over.append(read)
        raise AssertionError(f"no {wanted} {why}, but {[str(got) for got in self.received]}")

    def _take(self, count: int, deadline: float) -> bytes | None:
        """So many bytes; None if the connection ends before."""
        while len(self._bytes) < count:
            self.sock.settimeout(max(0.001, deadline - time.monotonic()))
            try:
                more = self.sock.recv(64 * 1024)
            except (ConnectionError, ssl.SSLEOFError):
                return None
            if not more:
                return None
            self._bytes += more
        taken, self._bytes = self._bytes[:count], self._bytes[count:]
        return taken

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()


@contextmanager
def frame_socket(
    port: int, *, start: bool = True, values: Mapping[int, int] | None = None, name: str = HOST
) -> Iterator[FrameSocket]:
    """A new connection to this port, on which HTTP/2 was agreed on, and begun unless told not to.

    `values` are our settings, by their identifiers. The authority of the tests must have issued the
    server's certificate.
    """
    context = trusting()
    context.set_alpn_protocols([PROTOCOL])
    with (
        socket.create_connection(("127.0.0.1", port), WAIT) as plain,
        context.wrap_socket(plain, server_hostname=name) as sock,
    ):
        assert sock.selected_alpn_protocol() == PROTOCOL
        with FrameSocket(sock) as frames:
            if start:
                frames.start(values)
            yield frames
