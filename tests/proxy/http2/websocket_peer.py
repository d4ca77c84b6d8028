"""WebSockets over HTTP/2 (RFC 8441) and both their sides."""

from blue_green.http2.websocket_keys import accept_for
from tests.proxy.http2.frame_peer import FramePeer, Pairs, connect, request
from tests.raw.backend import Script
from tests.raw.peer import Gone, Peer
from tests.raw.proxy import RunningProxy
from tests.support.http2_frames import FrameType


def chat(*more: tuple[bytes, bytes]) -> Pairs:
    start = request(b"CONNECT", b"/chat?room=1")
    return [*start, (b":protocol", b"websocket"), (b"sec-websocket-version", b"13"), *more]


def accepts(then: Script, early: bytes = b"", *lines: bytes) -> Script:
    """Agrees to the upgrade, perhaps with the first bytes of the tunnel in the same packet."""

    async def script(peer: Peer) -> None:
        head = await peer.until(b"\r\n\r\n")
        key = next(line[19:] for line in head.split(b"\r\n") if b"-WebSocket-Key: " in line)
        accept = b"Sec-WebSocket-Accept: " + accept_for(key)
        switch = b"Upgrade: websocket", b"Connection: Upgrade", accept, *lines
        await peer.send(
            b"\r\n".join([b"HTTP/1.1 101 Switching Protocols", *switch, b"", b""]) + early
        )
        await then(peer)
        raise Gone

    return script


async def opened(proxy: RunningProxy, *early: bytes) -> FramePeer:
    """A connection with a WebSocket on stream 1, which the backend has accepted."""
    peer = await connect(proxy)
    await peer.send(peer.headers(1, chat(), 0), *early)
    head = await peer.expect(FrameType.HEADERS, 1)
    assert (dict(head.fields)[":status"], head.ends_stream) == ("200", False)
    return peer
