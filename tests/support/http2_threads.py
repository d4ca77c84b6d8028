"""A raw client of HTTP/2 for tests in a loop: its calls block in threads."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import trio

from tests.support.http2_frames import FrameType, WireFrame
from tests.support.http2_wire import FrameSocket, WireResponse, frame_socket


class ThreadedClient:
    """One connection."""

    def __init__(self, frames: FrameSocket) -> None:
        self.frames = frames

    async def response(self, stream_id: int) -> WireResponse:
        return await trio.to_thread.run_sync(self.frames.response, stream_id)

    async def expect(self, type: FrameType, stream_id: int) -> WireFrame:
        return await trio.to_thread.run_sync(self.frames.expect, type, stream_id)

    async def text(self, stream_id: int, path: str = "/") -> str:
        """The release that answers."""
        self.frames.send_request(stream_id, path)
        return text_of(await self.response(stream_id))

    async def data_until_end(self, stream_id: int) -> bytes:
        data = b""
        while not (got := await self.expect(FrameType.DATA, stream_id)).ends_stream:
            data += got.payload
        return data + got.payload

    async def until_closed(self) -> None:
        """Wait for the end of the connection; fail if it is a reset."""

        def read() -> None:
            while self.frames.sock.recv(64 * 1024):
                pass

        await trio.to_thread.run_sync(read)


def text_of(response: WireResponse) -> str:
    assert response.status == 200, response
    return str(json.loads(response.body)["text"])


@contextmanager
def connected(port: int) -> Iterator[ThreadedClient]:
    with frame_socket(port) as frames:
        yield ThreadedClient(frames)
