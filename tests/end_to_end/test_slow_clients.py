"""Slow clients of an app with two workers, and the others, who do not notice them."""

import os
import socket
import statistics
import struct
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.support.http_client import HttpClient
from tests.support.site import RealSite
from tests.waiting import until

pytest.importorskip("gunicorn", reason="gunicorn is not installed")

MB = 1024 * 1024
WSGI = """
import os

RELEASE = os.environ["BLUE_GREEN_REVISION"]

def app(environ, start_response):
    path = environ["PATH_INFO"]
    body = RELEASE.encode()
    if path.startswith("/large/"):
        body = body[:1] * (int(path[7:]) * 1024 * 1024)
    elif environ["REQUEST_METHOD"] == "POST":
        body = str(len(environ["wsgi.input"].read())).encode()
    elif path == "/events":
        def events():
            import time
            for number in range(10):
                yield b"data: %d\\n\\n" % number
                time.sleep(0.05)
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        return events()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
COMMAND = [
    sys.executable, "-m", "gunicorn", "wsgi_app:app", "--workers", "2",
    "--bind", "127.0.0.1:{port}", "--timeout", "120",
]  # fmt: skip
PIECE = 4 * 1024
RESET = struct.pack("ii", 1, 0)
"""Close with RST (SO_LINGER, socket(7))."""


@pytest.fixture
def site(directory: Path) -> RealSite:
    site = RealSite(directory, app={"command": COMMAND}, health={"path": "/", "timeout": "10s"})
    site.commit("first", files={"wsgi_app.py": WSGI})
    return site


class SlowClients:
    """Clients that drip until they are told to finish."""

    def __init__(self, site: RealSite) -> None:
        self._site = site
        self._finish = trio.Event()
        self.begun = 0
        self.right = 0
        """How many have got everything."""

    @asynccontextmanager
    async def beside(self, uploads: int, downloads: int, size: int) -> AsyncIterator[None]:
        """So many, with bodies of so many MB; at the end all of them must get their responses."""
        async with trio.open_nursery() as nursery:
            for _ in range(uploads):
                nursery.start_soon(self._upload, size)
            for _ in range(downloads):
                nursery.start_soon(self._download, size)
            await until("all have begun", lambda: self.begun == uploads + downloads)
            yield
            self._finish.set()
        assert self.right == uploads + downloads

    async def _connect(self) -> trio.SocketStream:
        sock = trio.socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        await sock.connect(("127.0.0.1", self._site.port))
        return trio.SocketStream(sock)

    async def _upload(self, size: int) -> None:
        async with await self._connect() as stream:
            length = size * MB
            await stream.send_all(
                b"POST /up HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % length
            )
            self.begun += 1
            while not self._finish.is_set():
                await stream.send_all(bytes(100))
                length -= 100
                await trio.sleep(0.2)
            await stream.send_all(bytes(length))
            answer = b""
            while not answer.endswith(b"\r\n\r\n%d" % (size * MB)):
                more = await stream.receive_some()
                assert more, answer
                answer += more
            self.right += 1

    async def _download(self, size: int) -> None:
        async with await self._connect() as stream:
            await stream.send_all(
                b"GET /large/%d HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" % size
            )
            count, pieces = 0, set[bytes]()
            data = await stream.receive_some(PIECE)
            self.begun += 1
            body = data.partition(b"\r\n\r\n")[2]
            while data:
                count += len(body)
                pieces |= {bytes([byte]) for byte in set(body)}
                if not self._finish.is_set():
                    await trio.sleep(0.2)
                body = data = await stream.receive_some(PIECE)
            assert (count, len(pieces)) == (size * MB, 1)
            self.right += 1


async def latencies(site: RealSite, count: int) -> list[float]:
    """Seconds for each of so many requests, one after the other."""
    times = []
    async with HttpClient(site.port) as http:
        for _ in range(count):
            began = time.monotonic()
            assert (await http.get("/")).status == 200
            times.append(time.monotonic() - began)
    return times


async def test_slow_clients_do_not_keep_two_workers_busy(site: RealSite) -> None:
    async with site.running():
        async with SlowClients(site).beside(uploads=4, downloads=4, size=4):
            assert max(await latencies(site, 50)) < 5
            await until("the workers are idle", lambda: is_idle(site))
            status = await site.status()
            assert status["phase"] == "serving"
            assert status["buffered"]["memory"] + status["buffered"]["disk"] > 0
            assert status["buffered"]["responses"] == 4
            assert " MiB buffered for slow clients" in (await site.cli("status")).out


@pytest.mark.long
async def test_a_swap_and_a_restart_break_no_buffered_response(site: RealSite) -> None:
    async with site.running(), SlowClients(site).beside(uploads=2, downloads=6, size=8):
        await until("the workers are idle", lambda: is_idle(site))
        began = time.monotonic()
        second = site.commit("second")
        await site.until_live(second)
        assert time.monotonic() - began < 9, "the swap has waited for slow clients"
        assert (await site.get("/")).body == second.encode()
        done = await site.cli("restart")
        assert done.code == 0, done


@pytest.mark.long
async def test_events_reach_a_client_one_by_one(site: RealSite) -> None:
    async with site.running():
        stream = await trio.open_tcp_stream("127.0.0.1", site.port)
        async with stream:
            await stream.send_all(b"GET /events HTTP/1.1\r\nHost: h\r\n\r\n")
            seen = b""
            times: list[float] = []
            while b"data: 9" not in seen:
                seen += await stream.receive_some()
                times += [time.monotonic()] * (seen.count(b"data:") - len(times))
        assert times[-1] - times[0] > 0.3


@pytest.mark.long
async def test_a_hundred_slow_clients_are_not_noticed_by_the_others(site: RealSite) -> None:
    async with site.running():
        await latencies(site, 100)
        alone = p99(await latencies(site, 500))
        async with SlowClients(site).beside(uploads=50, downloads=50, size=4):
            await until("the workers are idle", lambda: is_idle(site))
            beside = p99(await latencies(site, 500))
        print(f"99th percentile: {alone * 1000:.1f} ms alone, {beside * 1000:.1f} ms beside")
        assert beside < max(10 * alone, 0.2)


@pytest.mark.long
async def test_a_thousand_hostile_clients_take_what_the_settings_allow(site: RealSite) -> None:
    site.configure(proxy={"buffer_memory": "16MiB", "buffer_disk": "200MiB"}, hold={"limit": 2000})
    async with site.running():
        before = memory(site)
        async with trio.open_nursery() as nursery:
            for number in range(1000):
                nursery.start_soon(_hostile, site, number)
            peak = disk = 0
            for _ in range(40):
                await trio.sleep(0.5)
                peak, disk = max(peak, memory(site)), max(disk, on_disk(site))
            nursery.cancel_scope.cancel()
        print(f"memory {(peak - before) / MB:.0f} MB more, disk {disk / MB:.0f} MB")
        # What has no room is streamed, with a piece of each body in memory.
        assert peak - before < 16 * MB + 1000 * 256 * 1024
        assert 0 < disk <= 201 * MB
        try:
            await until("the space is given back", lambda: on_disk(site) == 0)
        except AssertionError as error:
            raise AssertionError(f"{error}: {await what_holds_space(site)}") from None
        assert max(await latencies(site, 50)) < 5
        assert "unhandled" not in site.log()


async def _hostile(site: RealSite, number: int) -> None:
    """Send a large body, or ask for one, and then only drip; at the end, reset the connection.

    A FIN would wait behind what the kernel has not delivered yet, and with hundreds of megabytes in
    the queues of all sockets (`tcp_mem`, tcp(7)), that can take a minute.
    """
    with trio.CancelScope(), socket.socket() as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        plain.setblocking(False)
        sock = trio.socket.from_stdlib_socket(plain)
        try:
            await sock.connect(("127.0.0.1", site.port))
            stream = trio.SocketStream(sock)
            if number % 2:
                await stream.send_all(b"GET /large/4 HTTP/1.1\r\nHost: h\r\n\r\n")
                while await stream.receive_some(1):
                    await trio.sleep(1)
            head = b"POST /up HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % (100 * MB)
            await stream.send_all(head + bytes(MB))
            while True:
                await stream.send_all(b"x")
                await trio.sleep(1)
        except (OSError, trio.BrokenResourceError):
            pass


async def is_idle(site: RealSite) -> bool:
    status = await site.status()
    return bool(status["in_flight"] == 0)


def memory(site: RealSite) -> int:
    assert site.process is not None
    pages = int(Path(f"/proc/{site.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def on_disk(site: RealSite) -> int:
    """Bytes of the unlinked files that the supervisor has open."""
    return sum(unlinked_files(site).values())


def unlinked_files(site: RealSite) -> dict[str, int]:
    """The descriptors of the unlinked files that the supervisor has opened, and their bytes.

    Its standard descriptors are ours: a file in which pytest keeps what we print.
    """
    assert site.process is not None
    sizes = {}
    for link in Path(f"/proc/{site.process.pid}/fd").iterdir():
        try:
            if "(deleted)" in str(link.readlink()) and int(link.name) > 2:
                sizes[f"{link.name} {link.readlink()}"] = link.stat().st_blocks * 512
        except OSError:
            continue
    return sizes


async def what_holds_space(site: RealSite) -> str:
    status = await site.status()
    connected = sum(line.split()[3] == "01" for line in tcp_table(site.port))
    unacknowledged = sum(line.split()[3] == "04" for line in tcp_table(site.port, local=False))
    return (
        f"unlinked files: {unlinked_files(site)}; buffered: {status['buffered']};"
        f" in flight: {status['in_flight']}, held: {status['held']};"
        f" connections: {connected}, of clients that have closed them: {unacknowledged}"
    )


def tcp_table(port: int, *, local: bool = True) -> list[str]:
    """The lines of proc_net_tcp(5) with this port, which is local or remote."""
    address = 1 if local else 2
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return [line for line in lines if line.split()[address].endswith(f":{port:04X}")]


def p99(times: list[float]) -> float:
    return statistics.quantiles(times, n=100)[-1]
