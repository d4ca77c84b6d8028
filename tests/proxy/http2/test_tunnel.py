"""A stream as a tunnel."""

import pytest

from blue_green.proxy.http2.body import StreamBody
from blue_green.proxy.http2.tunnel import StreamTunnel


class SentOnStream:
    """What was sent to the client."""

    def __init__(self) -> None:
        self.data = b""
        self.has_ended = False

    async def send(self, data: bytes) -> None:
        self.data += data

    def end(self) -> None:
        self.has_ended = True


@pytest.fixture
def sent() -> SentOnStream:
    return SentOnStream()


@pytest.fixture
def received() -> StreamBody:
    return StreamBody(lambda count: None, has_ended=False)


@pytest.fixture
def tunnel(received: StreamBody, sent: SentOnStream) -> StreamTunnel:
    return StreamTunnel(received, sent.send, sent.end)


async def test_data_goes_both_ways(
    tunnel: StreamTunnel, received: StreamBody, sent: SentOnStream
) -> None:
    received.put(b"ping")
    assert await tunnel.receive() == b"ping"
    await tunnel.send(b"pong")
    assert sent.data == b"pong"


async def test_the_end_of_the_stream_is_the_end_of_the_tunnel(
    tunnel: StreamTunnel, received: StreamBody, sent: SentOnStream
) -> None:
    received.end([])
    assert await tunnel.receive() == b""
    await tunnel.send(b"more")  # The other direction goes on.
    await tunnel.send_eof()
    assert sent.has_ended


async def test_a_reset_is_an_error_of_both_directions(
    tunnel: StreamTunnel, received: StreamBody
) -> None:
    received.break_off()
    with pytest.raises(ConnectionResetError):
        await tunnel.receive()
    with pytest.raises(ConnectionResetError):
        await tunnel.send(b"lost")
