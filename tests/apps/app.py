"""The app of the end-to-end tests: does what `behaviour.json` of its release says.

Every request is written to $JOURNAL before it is answered, so that a test can tell who saw what.
"""

import fcntl
import itertools
import json
import os
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

BEHAVIOUR: dict[str, Any] = json.loads(Path("behaviour.json").read_text())
REVISION = os.environ["BLUE_GREEN_REVISION"]
answered = 0
hangs = False
pages = itertools.count(1)


def note(kind: str, **more: object) -> None:
    line = {"kind": kind, "at": time.monotonic(), "pid": os.getpid(), "revision": REVISION, **more}
    with Path(os.environ["JOURNAL"]).open("a") as journal:
        journal.write(json.dumps(line) + "\n")


def wait_at(where: str) -> None:
    """Stand still here while the test has a barrier up for this release, and tell that we do."""
    barrier = Path(os.environ.get("BARRIERS", "/nothing")) / f"{where}-{REVISION}"
    if barrier.exists():
        barrier.with_name(f"{barrier.name}.reached").touch()
    while barrier.exists():
        time.sleep(0.005)


def next_page_fails() -> bool:
    """Whether it is one of the share of pages that fail."""
    share = float(os.environ.get("FAILS", BEHAVIOUR.get("fails", 0.0)))
    number = next(pages)
    fails = int(number * share) > int((number - 1) * share)
    if fails:
        print("Traceback: a bug", file=sys.stderr, flush=True)
    return fails


class AppHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 64 * 1024  # An answer is sent as a whole, so that a sudden death cuts none in half.

    def do_GET(self) -> None:
        if "give-up" in self.path:
            self.give_up_port()
        if "Upgrade" in self.headers:
            self.echo()
        elif self.path in ("/events", "/endless"):
            self.go_on_for_ever()
        else:
            self.answer()

    def do_POST(self) -> None:
        self.answer()

    def answer(self) -> None:
        global answered, hangs  # noqa: PLW0603 - of this one process
        if BEHAVIOUR.get("https_only") and self.headers["X-Forwarded-Proto"] != "https":
            self.send_response(301)
            self.send_header("Location", f"https://{self.headers['Host']}{self.path}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
        if self.path == "/healthz":
            wait_at("probe")
            answered += 1
            if BEHAVIOUR.get("healthy_for") and answered > BEHAVIOUR["healthy_for"]:
                print("gone to pieces", file=sys.stderr, flush=True)
                os._exit(7)
            if BEHAVIOUR.get("never_answers") or hangs:
                time.sleep(3600)
            if BEHAVIOUR.get("well_for") and answered > BEHAVIOUR["well_for"]:
                self.reply(500, b"not any more")
                return
            self.reply(BEHAVIOUR.get("health_status", 200), b"ok")
            return
        note("request", method=self.command, path=self.path, body=body)
        if "slow=" in self.path:
            time.sleep(float(self.path.partition("slow=")[2]))
        time.sleep(BEHAVIOUR.get("takes", 0))
        if "wait" in self.path:
            wait_at("request")
        while "until=" in self.path and not Path(self.path.partition("until=")[2]).exists():
            time.sleep(0.005)
        if "die" in self.path or BEHAVIOUR.get("dies_of_requests"):
            os._exit(9)
        if "hang" in self.path:
            hangs = True
            if "for-ever" in self.path:
                time.sleep(3600)
        if "pieces=" in self.path:
            self.reply_slowly(int(self.path.partition("pieces=")[2]))
            return
        filler = "x" * 5000
        answer = {"revision": REVISION, "pid": os.getpid(), "body": body, "filler": filler}
        answer |= {"path": self.path, "text": Path("text.txt").read_text(), "end": REVISION}
        self.reply(500 if next_page_fails() else 200, json.dumps(answer).encode())

    def give_up_port(self) -> None:
        """The socket that listens is closed, and everything else goes on."""
        assert isinstance(self.server, AppServer)
        os.dup2(socket.socketpair()[0].detach(), self.server.socket.fileno())

    def echo(self) -> None:
        """What comes in goes out again, as on a WebSocket that is fed frames by its client."""
        self.send_response(101)
        self.send_header("Connection", "upgrade")
        self.send_header("Upgrade", self.headers["Upgrade"])
        self.end_headers()
        self.wfile.flush()
        self.close_connection = True
        while data := self.connection.recv(4096):
            self.connection.sendall(data)

    def go_on_for_ever(self) -> None:
        """An event stream, or a download that nobody will live to see the end of."""
        is_download = self.path == "/endless"
        self.send_response(200)
        self.send_header("Content-Type", "video/mp4" if is_download else "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        data = b"x" * 50_000 if is_download else b"data: hello\n\n"
        self.close_connection = True
        with suppress(ConnectionError):
            while True:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
                self.wfile.flush()
                time.sleep(0.01 if is_download else 0.05)

    def reply_slowly(self, pieces: int) -> None:
        piece = (REVISION * 2000).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(piece) * pieces))
        self.end_headers()
        for _ in range(pieces):
            self.wfile.write(piece)
            time.sleep(0.02)

    def reply(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class AppServer(ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True


class UnixAppServer(AppServer):
    """One that listens at a path."""

    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)


def take_lock() -> None:
    """Like an app that must not run twice: end at once if another one runs."""
    lock = Path(os.environ["LOCK"]).open("w")  # noqa: SIM115 - held as long as the process lives
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        note("overlap")
        sys.exit("two of us run at once")
    globals()["lock"] = lock


def spawn_grandchildren() -> None:
    """One in our process group, and one that left it, both deaf to SIGTERM from the start."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for new_session in (False, True):
        subprocess.Popen(["sleep", "600"], start_new_session=new_session)
    if BEHAVIOUR["grandchildren"] == "hidden":
        subprocess.Popen(["setsid", "env", "-i", "sleep", "600"])


def stop(*_: object) -> None:
    note("stop")
    wait_at("stop")
    os._exit(0)


def become_a_daemon() -> None:
    """The process that was started ends; one in a session of its own goes on."""
    if os.fork():
        os._exit(0)
    os.setsid()


def hide() -> None:
    """Become a daemon by the book, whose environment has nothing but what this app needs."""
    become_a_daemon()
    if os.fork():
        os._exit(0)
    needed = ("PORT", "JOURNAL", "BARRIERS", "BLUE_GREEN_REVISION")
    env = {name: os.environ[name] for name in needed if name in os.environ}
    os.execve(sys.executable, [sys.executable, "app.py", "hidden"], env)


def talk() -> None:
    """Write what `says` asks for: so many bytes, in lines so long."""
    line = b"x" * (BEHAVIOUR["says"]["line"] - 1) + b"\n"
    left = BEHAVIOUR["says"]["bytes"]
    while left > 0:
        data = line * max(1, 65536 // len(line))
        sys.stdout.buffer.write(data)
        left -= len(data)
    sys.stdout.flush()
    note("talked")


def make_server() -> AppServer:
    """At the path that is the last argument, if there is one, else on $PORT."""
    if len(sys.argv) > 1 and sys.argv[-1].startswith("/"):
        return UnixAppServer(sys.argv[-1], AppHandler)  # type: ignore[arg-type]  # a path will do
    return AppServer((BEHAVIOUR.get("host", "127.0.0.1"), int(os.environ["PORT"])), AppHandler)


def main() -> None:
    note("start")
    if BEHAVIOUR.get("grandchildren"):
        spawn_grandchildren()
    if Path(BEHAVIOUR.get("raises_while_there_is", "/nothing")).exists():
        raise RuntimeError("the database is away")
    if BEHAVIOUR.get("raises_on", -1) == int(os.environ.get("PORT", "0")):
        raise RuntimeError("this port is not for me")
    if "raises" in BEHAVIOUR:
        raise RuntimeError(BEHAVIOUR["raises"])
    if BEHAVIOUR.get("ignores_sigterm"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, stop)
    if "LOCK" in os.environ:
        take_lock()
    note("set up")
    time.sleep(BEHAVIOUR.get("start_delay", 0))
    wait_at("start")
    if BEHAVIOUR.get("forks_away"):
        become_a_daemon()
    if BEHAVIOUR.get("hides") and "hidden" not in sys.argv:
        hide()
    if BEHAVIOUR.get("closes_stdout"):
        os.close(1)
    server = make_server()
    note("listens")
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
    if "says" in BEHAVIOUR:
        threading.Thread(target=talk, daemon=True).start()


main()
