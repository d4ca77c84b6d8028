"""A busy backend is left alone and a hung one is replaced, with real servers."""

import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

import pytest
import trio

from tests.support.http_client import Answer, HttpClient
from tests.support.site import RealSite
from tests.waiting import until

MakeSite = Callable[..., RealSite]

WSGI = """\
import time

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path.startswith("/report="):
        time.sleep(float(path.partition("=")[2]))
    start_response("200 OK", [])
    return [b"x" * 40_000_000] if path == "/file" else [b"ok"]
"""
"""One that takes its time, for gunicorn."""

ONE_AT_A_TIME = """\
import os, time
from http.server import BaseHTTPRequestHandler, HTTPServer

class BusyHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path.startswith("/report="):
            time.sleep(float(self.path.partition("=")[2]))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass

HTTPServer(("127.0.0.1", int(os.environ["PORT"])), BusyHandler).serve_forever()
"""
"""One without threads that keeps connections open: it takes no other before this one ends. In its
backlog there is room for five."""

QUICK = {"path": "/", "interval": "100ms", "timeout": "1s", "fall": 2}
"""Two probes without an answer take two seconds, which no slow machine explains."""
LONG = 3.0
"""Seconds in which something that is wrongly taken for unhealthy would be replaced."""


def a_site(make_site: MakeSite, server: str = "server.py", **sections: dict[str, Any]) -> RealSite:
    """One whose app has one worker."""
    command = [sys.executable, "server.py"]
    if server == "gunicorn":
        pytest.importorskip("gunicorn", reason="gunicorn is not installed")
        command = [sys.executable, "-m", "gunicorn", "wsgi:app", "--bind", "127.0.0.1:{port}"]
    site = make_site(app={"command": command}, health=QUICK, **sections)
    site.commit("one worker", files={"wsgi.py": WSGI, "server.py": ONE_AT_A_TIME})
    return site


async def live(site: RealSite) -> Any:
    """The processes that are live, which are others once they were replaced."""
    return (await site.status())["live"]["pids"]


@pytest.mark.parametrize(
    ("server", "strategy"),
    [("gunicorn", "overlap"), ("gunicorn", "exclusive"), ("server.py", "overlap")],
)
async def test_a_worker_that_is_busy_with_a_request_is_left_alone(
    make_site: MakeSite, server: str, strategy: str
) -> None:
    site = a_site(make_site, server, swap={"strategy": strategy})
    async with site.running():
        before, answers = await live(site), list[Answer]()
        async with trio.open_nursery() as nursery:

            async def ask(path: str) -> None:
                answers.append(await site.get(path))

            nursery.start_soon(ask, f"/report={LONG}")
            for _ in range(3):
                await trio.sleep(0.1)
                nursery.start_soon(ask, "/")
        assert [answer.status for answer in answers] == [200] * 4
        assert await live(site) == before
        assert "unwell" not in site.log()


async def test_a_worker_whose_client_disconnected_is_left_alone(
    make_site: MakeSite,
) -> None:
    site = a_site(make_site, "gunicorn")
    async with site.running():
        before = await live(site)
        with trio.move_on_after(0.5):
            await site.get(f"/report={LONG}")
        assert (await site.get("/")).status == 200, "when it has done what nobody waits for"
        assert await live(site) == before
        assert "unwell" not in site.log()


async def test_a_worker_that_is_busy_with_a_slow_download_is_left_alone(
    make_site: MakeSite,
) -> None:
    site = a_site(make_site, "gunicorn")
    async with site.running():
        before = await live(site)
        client = await trio.open_tcp_stream("127.0.0.1", site.port)
        async with client:
            await client.send_all(b"GET /file HTTP/1.1\r\nHost: test.example\r\n\r\n")
            await trio.sleep(LONG)  # All buffers are full by then.
            count, body = 0, b""
            while count < 40_000_000:
                body = bytes(await client.receive_some(1024 * 1024))
                assert body, f"it was cut after {count} bytes"
                count += len(body)
        assert await live(site) == before
        assert "unwell" not in site.log()


@pytest.mark.parametrize("keepalive", ["60s", 0])
async def test_a_server_that_takes_one_connection_at_a_time_is_left_alone(
    make_site: MakeSite, keepalive: str | int
) -> None:
    site = a_site(make_site, proxy={"backend_keepalive": keepalive})
    async with site.running():
        before = await live(site)
        async with HttpClient(site.port) as http:
            assert (await http.get("/")).status == 200
            await trio.sleep(LONG)  # No request, and an idle connection at most.
            with trio.move_on_after(LONG):
                while True:  # One request after the other, on the same connection if that is kept.
                    assert (await http.get("/")).status == 200
                    await trio.sleep(0.001)
        assert await live(site) == before
        assert "unwell" not in site.log()


async def test_a_hung_process_is_replaced_soon_although_its_backlog_is_full(
    make_site: MakeSite,
) -> None:
    site = a_site(make_site)
    async with site.running():
        [pid] = await live(site)
        os.kill(pid, signal.SIGSTOP)
        others = [socket.socket() for _ in range(10)]  # More than there is room for.
        for other in others:
            other.setblocking(False)
            other.connect_ex(("127.0.0.1", site.blue))

        async def replaced() -> bool:
            return bool(await live(site) != [pid])

        await until("it is replaced", replaced)  # Much later, if to connect had no time limit.
        await site.until_logged("no connection to port")
        assert (await site.get("/")).status == 200
        for other in others:
            other.close()


async def test_a_hung_process_with_requests_is_replaced_once_one_has_waited_too_long(
    make_site: MakeSite,
) -> None:
    site = a_site(make_site, proxy={"response_timeout": "2s"}, swap={"drain_timeout": "1s"})
    async with site.running():
        [pid] = await live(site)
        os.kill(pid, signal.SIGSTOP)
        assert (await site.get("/")).status == 504
        assert await live(site) == [pid], "before, it might have been merely busy"

        async def replaced() -> bool:
            return bool(await live(site) != [pid])

        await until("it is replaced", replaced)
        await site.until_logged("nor a request within 2 s")
        assert (await site.get("/")).status == 200
