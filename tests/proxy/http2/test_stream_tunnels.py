"""WebSockets over HTTP/2 (RFC 8441), whose backend speaks HTTP/1.1."""

from pathlib import Path

import trio

from blue_green.http2.websocket_keys import accept_for
from tests.raw.peer import Peer
from tests.raw.proxy import running
from tests.raw.tls_client import write_pair
from tests.raw.tunnels import FRAMES, echoes
from tests.support.http2_frames import END_STREAM, FrameType
from tests.support.http2_wire import FrameSocket, frame_socket, request_fields

ASK = [(":protocol", "websocket"), *request_fields("/chat", "CONNECT")]


async def switches_and_echoes(peer: Peer) -> None:
    """Accept the WebSocket, and send everything back until the client's end."""
    head = await peer.until(b"\r\n\r\n")
    [key] = [line[19:] for line in head.split(b"\r\n") if line.startswith(b"Sec-WebSocket-Key: ")]
    await peer.send(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\n\r\n" % accept_for(key)
    )
    await echoes(peer)


async def test_both_sides_of_a_websocket_send_as_long_as_they_like(tmp_path: Path) -> None:
    def talk() -> None:
        with frame_socket(proxy.port) as client:
            chat(client)

    def chat(client: FrameSocket) -> None:
        client.send_headers(1, ASK, flags=0)
        opened = client.expect(FrameType.HEADERS, 1)
        assert (dict(opened.fields)[":status"], opened.ends_stream) == ("200", False)
        for _ in range(3):
            client.send_data(1, FRAMES)
            received = b""
            while len(received) < len(FRAMES):
                received += client.expect(FrameType.DATA, 1).payload
            assert received == FRAMES
        client.send_data(1, b"", END_STREAM)
        assert client.expect(FrameType.DATA, 1).ends_stream

    async with running(switches_and_echoes, tls=write_pair(tmp_path)) as proxy:
        await trio.to_thread.run_sync(talk)
        await proxy.until_drained()
