"""An app whose answers take their time: event streams, WebSockets, downloads, uploads.

`behaviour.json` of its release says what it does when it is to stop: with `ends_streams` it ends
them itself; otherwise it waits until they have ended, as uvicorn does.
"""

import asyncio
import base64
import hashlib
import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

BEHAVIOUR: dict[str, Any] = json.loads(Path("behaviour.json").read_text())
TEXT = Path("text.txt").read_text()
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
stopping = asyncio.Event()
open_connections: set[asyncio.Task[None]] = set()


def note(kind: str, **more: object) -> None:
    line = {"kind": kind, "pid": os.getpid(), "text": TEXT, **more}
    with Path(os.environ["JOURNAL"]).open("a") as journal:
        journal.write(json.dumps(line) + "\n")


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    task = asyncio.current_task()
    assert task is not None
    open_connections.add(task)
    try:
        while not stopping.is_set():
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            await answer(head, reader, writer)
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        open_connections.discard(task)
        writer.close()


async def answer(head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    first, *lines = head.split("\r\n")
    method, target, _ = first.split(" ")
    fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    path, _, argument = target.partition("?")
    if path != "/healthz":
        note("request", method=method, path=path, via=fields.get("via"))
    if path == "/events":
        await tell_events(writer)
    elif path == "/ws":
        await talk(fields["sec-websocket-key"], reader, writer)
    elif path == "/big":
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n" % argument.encode())
        for _ in range(int(argument) // 50_000):
            writer.write(b"x" * 50_000)
            await writer.drain()
    else:
        body = await reader.readexactly(int(fields.get("content-length", "0")))
        while path == "/until" and not Path(argument).exists():
            await asyncio.sleep(0.01)
        data = json.dumps({"text": TEXT, "pid": os.getpid(), "length": len(body)}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(data), data))
        await writer.drain()


async def tell_events(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n")
    writer.write(b"Transfer-Encoding: chunked\r\n\r\n")
    event = f"data: {TEXT}\n\n".encode()
    while not (stopping.is_set() and BEHAVIOUR.get("ends_streams")):
        writer.write(b"%x\r\n%s\r\n" % (len(event), event))
        await writer.drain()
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(ends.wait()), 0.05)
    writer.write(b"e\r\ndata: goodbye\r\n0\r\n\r\n")
    await writer.drain()


async def talk(key: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A WebSocket that says who it is at once, answers pings, and says goodbye after its client."""
    accept = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest())
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket")
    writer.write(b"\r\nSec-WebSocket-Accept: %s\r\n\r\n" % accept)
    writer.write(bytes((0x81, len(TEXT))) + TEXT.encode())
    opcode = 0
    while opcode != 8:
        head = await reader.readexactly(2)
        rest = await reader.readexactly(4 + (head[1] & 0x7F))
        opcode = head[0] & 0xF
        data = bytes(byte ^ rest[number % 4] for number, byte in enumerate(rest[4:]))
        writer.write(bytes((0x8A if opcode == 9 else 0x88, len(data))) + data)
        await writer.drain()
    note("goodbye", opcode=opcode, code=int.from_bytes(data[:2]))
    raise ConnectionError


ends = asyncio.Event()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]))

    def stop() -> None:
        note("stop")
        stopping.set()
        if BEHAVIOUR.get("ends_streams"):
            ends.set()
        server.close()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)
    await stopping.wait()
    if BEHAVIOUR.get("ends_streams"):
        await asyncio.sleep(0.2)
    else:
        while open_connections:
            await asyncio.sleep(0.01)


if __name__ == "__main__":
    asyncio.run(main())
