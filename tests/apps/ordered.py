"""An app that takes one connection at a time, and writes down in which order they came."""

import json
import os
import socket
import time
from pathlib import Path

JOURNAL = os.open(os.environ["JOURNAL"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def note(kind: str, **more: object) -> None:
    line = {"kind": kind, "at": time.monotonic(), **more}
    os.write(JOURNAL, json.dumps(line).encode() + b"\n")


barrier = Path(os.environ["BARRIERS"]) / f"start-{os.environ['BLUE_GREEN_REVISION']}"
while barrier.exists():
    time.sleep(0.005)
with socket.create_server(("127.0.0.1", int(os.environ["PORT"])), backlog=1024) as listener:
    note("listens")
    while True:
        connection, _ = listener.accept()
        with connection:
            path = connection.recv(65536).split(b" ")[1].decode()
            if path != "/healthz":
                note("request", path=path)
            body = os.environ["BLUE_GREEN_REVISION"].encode()
            head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
            connection.sendall(head % len(body) + body)
