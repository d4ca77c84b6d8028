"""An app that costs next to nothing, so that only the proxy decides how long an answer takes.

GET is answered at once, but for /endless. Whatever else begins on a connection is read and never
answered; of what is sent to /deaf, only the beginning is read. A GET of /shout/WORD starts a
program that prints that word for ever, line after line.

It listens on the Unix socket that is its argument, and without one on $PORT.
"""

import asyncio
import os
import socket
import subprocess
import sys
from typing import cast
from urllib.parse import unquote

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n"
ENDLESS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNK = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
SEND_BUFFER = 64 * 1024
"""Bytes. The kernel would take up to 4 MiB for each endless answer (tcp_wmem, tcp(7)). A hundred of
them that begin at once would keep this app busy for half a second, and whoever asks meanwhile would
wait for it, and not for the proxy."""
SECONDS = "60"
"""For which shouting goes on, should nobody end it."""


paused: list[asyncio.Transport] = []
"""Nobody else refers to a transport that does not read: the garbage collector would close it."""


class Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._data = b""
        self._is_sink = self._is_paused = False

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
                if b" /deaf " in head:
                    self._transport.pause_reading()
                    paused.append(self._transport)
                return
            _, path, _ = head.split(b" ", 2)
            if path.startswith(b"/shout/"):
                shout(unquote(path.removeprefix(b"/shout/").decode()))
            if path == b"/endless":
                sock = self._transport.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
                self._transport.write(ENDLESS)
                self._is_sink = True
                self.resume_writing()
                return
            self._transport.write(ANSWER)

    def pause_writing(self) -> None:
        self._is_paused = True

    def resume_writing(self) -> None:
        """Go on with the answer that has no end."""
        self._is_paused = False
        while self._is_sink and not self._is_paused and not self._transport.is_closing():
            self._transport.write(CHUNK)


def shout(word: str) -> None:
    subprocess.Popen(["nice", "-n", "10", "timeout", SECONDS, "yes", word])


async def main() -> None:
    loop = asyncio.get_running_loop()
    server: asyncio.Server
    if sys.argv[1:]:
        server = await loop.create_unix_server(Connection, sys.argv[1])
    else:
        server = await loop.create_server(Connection, "127.0.0.1", int(os.environ["PORT"]))
    await server.serve_forever()


asyncio.run(main())
