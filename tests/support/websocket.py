"""A WebSocket client."""

import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

import trio
from websockets.sync.client import ClientConnection, connect

from tests.waiting import PATIENCE


class WebSocket:
    """A WebSocket of the `websockets` library, which blocks and so lives in threads."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def echo(self, text: str) -> str:
        """What the app says to this text; raise `ConnectionClosed`."""
        await trio.to_thread.run_sync(self._connection.send, text)
        return await self.receive()

    async def receive(self) -> str:
        def receive() -> str | bytes:
            return self._connection.recv(timeout=PATIENCE)

        return str(await trio.to_thread.run_sync(receive, abandon_on_cancel=True))


@asynccontextmanager
async def websocket(port: int, path: str = "/") -> AsyncIterator[WebSocket]:
    opened = ExitStack()

    def open_it() -> ClientConnection:
        # A socket of ours, so that no proxy of the environment comes between.
        sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
        url = f"ws://127.0.0.1:{port}{path}"
        return opened.enter_context(connect(url, sock=sock, close_timeout=PATIENCE))

    try:
        yield WebSocket(await trio.to_thread.run_sync(open_it))
    finally:
        with trio.CancelScope(shield=True):  # `close_timeout` is the limit.
            await trio.to_thread.run_sync(opened.close)
