"""An app that costs next to nothing, so that only the proxy decides how long an answer takes.

GET is answered at once, /large with much. Whatever else begins on a connection is read and never
answered. A GET of /shout/WORD starts a program that prints that word for ever, line after line.
"""

import asyncio
import os
import subprocess
from typing import cast
from urllib.parse import unquote

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n"
LARGE = b"HTTP/1.1 200 OK\r\nContent-Length: 450000\r\n\r\n" + b"x" * 450_000
"""More than the buffers of sockets hold, and less than what is spliced."""
SECONDS = "60"
"""For which shouting goes on, should nobody end it."""


class Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._data = b""
        self._is_sink = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._is_sink:
            return
        self._data += data
        while b"\r\n\r\n" in self._data:
            head, _, self._data = self._data.partition(b"\r\n\r\n")
            if not head.startswith(b"GET "):
                self._is_sink = True
                return
            _, path, _ = head.split(b" ", 2)
            if path.startswith(b"/shout/"):
                shout(unquote(path.removeprefix(b"/shout/").decode()))
            self._transport.write(LARGE if path == b"/large" else ANSWER)


def shout(word: str) -> None:
    subprocess.Popen(["nice", "-n", "10", "timeout", SECONDS, "yes", word])


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", int(os.environ["PORT"]))
    await server.serve_forever()


asyncio.run(main())
