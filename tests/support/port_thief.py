"""Another program on this machine that takes a backend's port to get its requests."""

import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from attrs import frozen

from tests.waiting import until

UID = 61_234
"""A user of no name, whom only root can be."""

PROGRAM = """
import http.server, resource, socket, sys, time
port, journal, tag, how = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
if tag:
    resource.setrlimit(10, (tag, resource.getrlimit(10)[1]))

class ThiefHandler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        while how == "silent":
            time.sleep(1)
        if self.path != "/healthz":
            with open(journal, "a") as file:
                file.write(self.path + "\\n")
        self.send_response(200)
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"stolen")

    def log_message(self, *_):
        pass

class ThiefServer(http.server.ThreadingHTTPServer):
    allow_reuse_address = True
    def server_bind(self):
        if how == "sharing":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        super().server_bind()

while True:
    try:
        server = ThiefServer(("127.0.0.1", port), ThiefHandler)
        break
    except OSError:
        time.sleep(0.001)
with open(journal, "a") as file:
    file.write("has it\\n")
server.serve_forever()
"""


@frozen
class PortThief:
    """The program, and what it has got so far."""

    process: "subprocess.Popen[bytes]"
    journal: Path

    @property
    def has_port(self) -> bool:
        return bool(self.journal.read_text())

    @property
    def stolen(self) -> list[str]:
        """The paths that it was asked for, but for probes."""
        return self.journal.read_text().splitlines()[1:]

    async def until_it_has_port(self) -> None:
        await until("the other program has the port", lambda: self.has_port)


@asynccontextmanager
async def port_thief(
    port: int, directory: Path, *, tag: int = 0, how: str = "eager"
) -> AsyncIterator[PortThief]:
    """While the block lasts it waits for this port, as another user if we are root.

    With a `tag` it passes itself off as a descendant of that command. It may be `silent`, or be
    `sharing` the port (SO_REUSEPORT).
    """
    journal = directory / "stolen"
    journal.touch()
    journal.chmod(0o666)
    is_root = os.geteuid() == 0
    python = (is_root and shutil.which("python3", path="/usr/bin:/bin")) or sys.executable
    words = [python, "-c", PROGRAM, str(port), str(journal), str(tag), how]
    process = subprocess.Popen(
        words,
        user=UID if is_root else None,
        group=UID if is_root else None,
        extra_groups=[] if is_root else None,
        cwd="/",
    )
    with process:
        try:
            yield PortThief(process, journal)
        finally:
            process.kill()
