"""An app that listens once a file is there, and writes into another one when it did.

python late_app.py PORT FILE
"""

import asyncio
import sys
import time
from pathlib import Path

PORT, COME_UP = int(sys.argv[1]), Path(sys.argv[2])
BODY = b"hello world\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)


class Answering(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(ANSWER * data.count(b"\r\n\r\n"))


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(
        Answering, "127.0.0.1", PORT, backlog=16384, start_serving=False
    )
    while not COME_UP.exists():
        await asyncio.sleep(0.001)
    at = time.monotonic()
    await server.start_serving()
    COME_UP.with_suffix(".at").write_text(str(at))
    await server.serve_forever()


asyncio.run(main())
