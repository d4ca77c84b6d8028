"""Tunnels: a client and a backend that switch protocols."""

from tests.raw.backend import Script
from tests.raw.peer import Gone, Peer
from tests.raw.proxy import RunningProxy

ASK = (
    b"GET /chat HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: k\r\n\r\n"
)

SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: a\r\n\r\n"
)

FRAMES = bytes(range(256)) + b"\r\n\r\nHTTP/1.1 200 OK\r\n\r\n0\r\n\r\n"
"""Bytes that would mean something to a proxy that still read them."""


def switches(then: Script, early: bytes = b"") -> Script:
    """Agrees to the upgrade, perhaps with the first bytes of the tunnel in the same packet."""

    async def script(peer: Peer) -> None:
        assert await peer.next_head() == await peer.until(b"\r\n\r\n")
        await peer.send(SWITCH + early)
        await then(peer)
        raise Gone

    return script


async def echoes(peer: Peer) -> None:
    """Sends everything back, and ends when the other side has."""
    while True:
        size = max(1, len(peer.unread))
        await peer.send(await peer.exactly(size))


async def opened(proxy: RunningProxy, *, early: bytes = b"") -> Peer:
    client = await proxy.ask(ASK + early)
    head = await client.until(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    lines = {line.lower() for line in head.split(b"\r\n")}
    assert {b"upgrade: websocket", b"connection: upgrade", b"sec-websocket-accept: a"} <= lines
    return client
