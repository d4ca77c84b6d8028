"""A client of HTTP/2 for the proxy in this process, which sends whatever frames it is given.

It keeps no state of streams and no windows, so it can break every rule. It decodes header blocks,
and acknowledges nothing by itself but the server's first SETTINGS.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import hpack
import trio
from h2.errors import ErrorCodes

from tests.raw.peer import Peer
from tests.raw.proxy import RunningProxy
from tests.raw.tls_client import TlsStream, trusting
from tests.raw.waiting import patience
from tests.support.http2_frames import (
    ACK,
    END_HEADERS,
    END_STREAM,
    HEADER,
    PADDED,
    FrameType,
    ReceivedFrames,
    WireFrame,
    frame,
    settings,
)
from tests.support.http2_wire import PREFACE, PROTOCOL, WireResponse

HOST = b"h"

Pairs = Sequence[tuple[bytes, bytes]]


class FramePeer:
    """One connection, and the frames that came on it."""

    def __init__(self, stream: TlsStream) -> None:
        self.stream = stream
        self.encoder = hpack.Encoder()
        self.frames: list[WireFrame] = []
        """All that have come."""
        self._parser = ReceivedFrames()
        self._unread: list[WireFrame] = []
        self._bytes = bytearray()

    # --- sending ---

    async def send(self, *frames: bytes) -> None:
        with patience("sending", self._seen):
            await self.stream.send_all(b"".join(frames))

    def headers(self, stream_id: int, fields: Pairs, flags: int = END_STREAM) -> bytes:
        """A whole header block in one frame. Blocks must be sent in the order of the calls."""
        block = self.encoder.encode(fields)
        return frame(FrameType.HEADERS, stream_id, block, flags | END_HEADERS)

    def get(self, stream_id: int, path: bytes = b"/", *more: tuple[bytes, bytes]) -> bytes:
        return self.headers(stream_id, request(b"GET", path, *more))

    def post(
        self, stream_id: int, *more: tuple[bytes, bytes], path: bytes = b"/p", flags: int = 0
    ) -> bytes:
        """The head of a request whose body follows."""
        return self.headers(stream_id, request(b"POST", path, *more), flags)

    # --- receiving ---

    async def read(self) -> WireFrame | None:
        """The next frame; None at the end of the connection."""
        if self._unread:
            return self._unread.pop(0)
        return await self._receive()

    async def expect(self, type: FrameType, stream_id: int | None = None) -> WireFrame:
        """The next frame of this type, on this stream if one is named; others stay unread."""

        def is_it(got: WireFrame) -> bool:
            return got.type == type and stream_id in (None, got.stream_id)

        for at, got in enumerate(self._unread):
            if is_it(got):
                return self._unread.pop(at)
        while (next_ := await self._receive()) is not None:
            if is_it(next_):
                return next_
            self._unread.append(next_)
        raise AssertionError(f"no {type.name} on stream {stream_id}: {self._seen()}")

    async def response(self, stream_id: int) -> WireResponse:
        """The whole response on this stream; fails if it is reset or the connection ends."""
        response = WireResponse()
        while True:
            got = await self.next_on(stream_id)
            assert got is not None, f"the connection ended: {self._seen()}"
            assert got.type != FrameType.RST_STREAM, f"{got}, after {response}"
            response.add(got)
            if got.ends_stream:
                return response

    async def data(self, stream_id: int, count: int) -> bytes:
        """So many bytes of DATA on this stream."""
        data = b""
        while len(data) < count:
            data += (await self.expect(FrameType.DATA, stream_id)).payload
        assert len(data) == count, (len(data), count)
        return data

    async def check_reset(self, stream_id: int, code: ErrorCodes) -> None:
        """The server resets this stream with this code."""
        got = await self.expect(FrameType.RST_STREAM, stream_id)
        assert got.error == code, (got, self._seen())

    async def check_over(self, code: ErrorCodes, case: str = "") -> None:
        """The server sends GOAWAY with this code, and ends the connection in an orderly way."""
        with reporting(case):
            got = await self.expect(FrameType.GOAWAY)
            assert got.error == code, str(got)
            while (after := await self._receive()) is not None:
                assert after.type not in (FrameType.HEADERS, FrameType.DATA), self._seen()

    async def check_alive(self) -> None:
        """The server answers a PING, and so has handled everything that was sent before."""
        payload = len(self.frames).to_bytes(8)
        await self.send(frame(FrameType.PING, 0, payload))
        while True:
            got = await self.expect(FrameType.PING)
            if got.flags & ACK and got.payload == payload:
                return

    def on(self, stream_id: int) -> list[WireFrame]:
        """All frames that have come on this stream."""
        return [got for got in self.frames if got.stream_id == stream_id]

    async def next_on(self, stream_id: int) -> WireFrame | None:
        """The next frame on this stream; None at the end of the connection."""
        for at, got in enumerate(self._unread):
            if got.stream_id == stream_id:
                return self._unread.pop(at)
        while (next_ := await self._receive()) is not None:
            if next_.stream_id == stream_id:
                return next_
            self._unread.append(next_)
        return None

    async def _receive(self) -> WireFrame | None:
        if not await self._has_arrived(HEADER):
            return None
        size = HEADER + int.from_bytes(self._bytes[:3])
        if not await self._has_arrived(size):
            return None
        header, payload = bytes(self._bytes[:HEADER]), bytes(self._bytes[HEADER:size])
        del self._bytes[:size]
        got = self._parser.parse(header, payload)
        self.frames.append(got)
        return got

    async def _has_arrived(self, count: int) -> bool:
        """Wait for so many bytes; False if the connection ends before."""
        while len(self._bytes) < count:
            data = b""
            with patience("waiting for a frame", self._seen):
                try:
                    data = await self.stream.receive_some()
                except trio.BrokenResourceError:
                    raise AssertionError(f"the connection was cut: {self._seen()}") from None
            if not data:
                assert not self._bytes, bytes(self._bytes)
                return False
            self._bytes += data
        return True

    def _seen(self) -> list[str]:
        return [str(got) for got in self.frames]


@contextmanager
def reporting(case: str) -> Iterator[None]:
    """Name the case of a table in which something fails."""
    try:
        yield
    except AssertionError as error:
        raise AssertionError(f"{case}: {error}") from None


async def connect(
    proxy: RunningProxy, *, start: bool = True, values: dict[int, int] | None = None
) -> FramePeer:
    """A new connection on which HTTP/2 was agreed on, and begun unless told not to."""
    context = trusting()
    context.set_alpn_protocols([PROTOCOL])
    stream = TlsStream(await trio.open_tcp_stream("127.0.0.1", proxy.port), context)
    proxy.clients.append(Peer(stream))
    with patience("shaking hands", stream.tls.version):
        await stream.shake_hands()
    assert stream.tls.selected_alpn_protocol() == PROTOCOL
    peer = FramePeer(stream)
    if start:
        await peer.send(PREFACE, settings(values or {}))
        await peer.expect(FrameType.SETTINGS)
        await peer.send(frame(FrameType.SETTINGS, flags=ACK))
    return peer


async def ask(
    peer: FramePeer, stream_id: int, path: bytes, *more: tuple[bytes, bytes]
) -> WireResponse:
    await peer.send(peer.get(stream_id, path, *more))
    return await peer.response(stream_id)


async def check_good_request(peer: FramePeer, stream_id: int) -> None:
    """A request on the same connection is answered."""
    assert (await ask(peer, stream_id, b"/good")).body == b"good"


def request(method: bytes, path: bytes, *more: tuple[bytes, bytes]) -> Pairs:
    """The fields of a valid request."""
    start = (b":method", method), (b":scheme", b"https"), (b":authority", HOST), (b":path", path)
    return [*start, *more]


def data(stream_id: int, payload: bytes = b"", *, end: bool = False, padding: int = -1) -> bytes:
    """A DATA frame; padded unless the padding is negative."""
    flags = END_STREAM if end else 0
    if padding < 0:
        return frame(FrameType.DATA, stream_id, payload, flags)
    padded = bytes([padding]) + payload + bytes(padding)
    return frame(FrameType.DATA, stream_id, padded, flags | PADDED)


def window_update(stream_id: int, increment: int) -> bytes:
    return frame(FrameType.WINDOW_UPDATE, stream_id, increment.to_bytes(4))


def reset(stream_id: int, code: ErrorCodes = ErrorCodes.CANCEL) -> bytes:
    return frame(FrameType.RST_STREAM, stream_id, code.to_bytes(4))
