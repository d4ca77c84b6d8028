"""An attacker's connection of HTTP/2: any bytes, over TLS, as fast as they go."""

from collections.abc import Awaitable, Callable, Iterable, Mapping

import hpack
import trio
from h2.errors import ErrorCodes

from tests.hostile.attacks import AGAIN, CONNECTIONS
from tests.hostile.target import TargetSite
from tests.support.http2_frames import ACK, CODES, END_HEADERS, END_STREAM, FrameType, frame

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
PROTOCOL = "h2"
HEADER = 9
PIECE = 16 * 1024
"""Bytes sent at once."""


def head(method: str = "GET", path: str = "/attack", *more: tuple[str, str]) -> bytes:
    """A header block that depends on nothing, and changes no table."""
    fields = (":method", method), (":scheme", "https"), (":authority", "localhost"), (":path", path)
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    return encoder.encode([*fields, *more]).removeprefix(b"\x20")


GET, POST = head(), head("POST", "/sink")


def headers(stream_id: int, block: bytes = GET, flags: int = END_STREAM | END_HEADERS) -> bytes:
    return frame(FrameType.HEADERS, stream_id, block, flags)


def reset(stream_id: int) -> bytes:
    return frame(FrameType.RST_STREAM, stream_id, (8).to_bytes(4))


def window_update(stream_id: int, increment: int) -> bytes:
    return frame(FrameType.WINDOW_UPDATE, stream_id, increment.to_bytes(4))


def set_values(*values: tuple[int, int]) -> bytes:
    """A SETTINGS frame, in which a setting may come more than once."""
    entries = (key.to_bytes(2) + value.to_bytes(4) for key, value in values)
    return frame(FrameType.SETTINGS, 0, b"".join(entries))


class HostileConnection:
    """One connection, on which nothing has been sent yet."""

    def __init__(self, stream: "trio.SSLStream[trio.SocketStream]") -> None:
        self._stream = stream
        self._received = b""
        self.ended_by: int | None = None
        """The error code of a GOAWAY frame."""
        self.widened: set[int] = set()
        """Streams with a larger window than at their beginning."""

    async def start(self, settings: Mapping[int, int]) -> None:
        ack = frame(FrameType.SETTINGS, flags=ACK)
        await self.send(PREFACE + set_values(*settings.items()) + ack)

    async def send(self, data: bytes) -> None:
        await self._stream.send_all(data)

    async def send_each(self, pieces: Iterable[bytes]) -> None:
        """Send these, many at once."""
        collected = bytearray()
        for piece in pieces:
            collected += piece
            if len(collected) >= PIECE:
                await self.send(bytes(collected))
                collected.clear()
        await self.send(bytes(collected))

    async def receive(self) -> tuple[int, int, int]:
        """The type, the flags and the stream of the next frame. Raises `EOFError`."""
        data = await self._take(HEADER)
        payload = await self._take(int.from_bytes(data[:3]))
        if data[3] == FrameType.GOAWAY and (code := int.from_bytes(payload[4:8])):
            self.ended_by = code
        stream = int.from_bytes(data[5:])
        if data[3] == FrameType.WINDOW_UPDATE and stream:
            self.widened.add(stream)
        return data[3], data[4], stream

    async def read_on(self) -> None:
        """Receive whatever comes, until the end."""
        while True:
            await self.receive()

    async def _take(self, count: int) -> bytes:
        while len(self._received) < count:
            data = await self._stream.receive_some(64 * 1024)
            if not data:
                raise EOFError
            self._received += data
        taken, self._received = self._received[:count], self._received[count:]
        return taken


Attacking = Callable[[HostileConnection], Awaitable[None]]


async def connect(target: TargetSite) -> "trio.SSLStream[trio.SocketStream]":
    context = target.tls()
    assert context is not None
    context.set_alpn_protocols([PROTOCOL])
    stream = trio.SSLStream(
        await target.connect(), context, server_hostname="localhost", https_compatible=True
    )
    await stream.do_handshake()
    return stream


async def attack_over_http2(
    target: TargetSite,
    attack: Attacking,
    *,
    settings: Mapping[int, int] | None = None,
    reads: bool = True,
    starts: bool = True,
    connections: int = CONNECTIONS,
) -> None:
    """Attack over so many connections at once, and again whenever one has ended.

    Each error with which the site ends one is printed. Unless it `reads`, the attack does so itself
    or not at all; unless it `starts`, it sends the preface itself.
    """

    async def attack_until_ended(connection: HostileConnection) -> None:
        async with trio.open_nursery() as nursery:
            if reads:
                nursery.start_soon(connection.read_on)
            if starts:
                await connection.start(settings or {})
            await attack(connection)

    async def one() -> None:
        while True:
            connection: HostileConnection | None = None
            try:
                stream = await connect(target)
                connection = HostileConnection(stream)
                try:
                    await attack_until_ended(connection)
                finally:
                    await trio.aclose_forcefully(stream)
            except* (OSError, EOFError, trio.BrokenResourceError, trio.ClosedResourceError):
                pass  # It was refused or ended, as may well be right.
            if connection is not None and connection.ended_by is not None:
                report(connection.ended_by)
            await trio.sleep(AGAIN)

    async with trio.open_nursery() as nursery:
        for _ in range(connections):
            nursery.start_soon(one)


def report(code: int) -> None:
    print(ErrorCodes(code).name if code in CODES else code, flush=True)
