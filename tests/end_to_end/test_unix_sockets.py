"""Apps on Unix sockets: real servers through all that happens to them, and the test app."""

import json
import os
import shutil
import signal
import socket
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.support.killed import killed_at_the_end
from tests.support.other_users import NOBODY, PYTHON, a_site, as_root, uid_of
from tests.support.site import RealSite
from tests.waiting import until

WSGI = """\
import json, os

def app(environ, start_response):
    with open("text.txt") as text:
        answer = {"text": text.read(), "host": environ["HTTP_HOST"]}
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]
"""
ASGI = """\
import json

async def app(scope, receive, send):
    with open("text.txt") as text:
        answer = {"text": text.read(), "host": dict(scope["headers"])[b"host"].decode()}
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})
"""
NODE = """\
const http = require("http"), fs = require("fs");
http.createServer((request, response) => {
  const text = fs.readFileSync("text.txt", "utf8");
  response.end(JSON.stringify({text, host: request.headers.host}));
}).listen(process.argv[2]);
"""
FILES = {"wsgi_app.py": WSGI, "asgi_app.py": ASGI, "server.js": NODE}
SERVERS = {
    "gunicorn": [sys.executable, "-m", "gunicorn", "wsgi_app:app", "--bind", "unix:{socket}"],
    "uvicorn": [sys.executable, "-m", "uvicorn", "asgi_app:app", "--uds", "{socket}"],
    "node": ["node", "server.js", "{socket}"],
}


@pytest.fixture
def site(directory: Path) -> RealSite:
    """A site whose test app listens on a Unix socket."""
    app = {"command": [sys.executable, "app.py", "{socket}"], "ports": None}
    return RealSite(directory, app=app)


def has(server: str) -> bool:
    if server == "node":
        return shutil.which("node") is not None
    return bool(pytest.importorskip(server))


def of_server(server: str) -> Any:
    """A parameter; one server is enough for the default run."""
    marks = [pytest.mark.skipif(not has(server), reason=f"{server} is not installed")]
    return pytest.param(server, marks=marks if server == "gunicorn" else [*marks, pytest.mark.long])


def socket_of(status: dict[str, Any]) -> Path:
    """The socket of the only backend that is live."""
    assert status["live"]["ports"] == []
    [path] = status["live"]["sockets"]
    return Path(path)


@pytest.mark.parametrize("strategy", ["overlap", pytest.param("exclusive", marks=pytest.mark.long)])
@pytest.mark.parametrize("server", [of_server(name) for name in SERVERS])
async def test_a_server_on_a_unix_socket_is_swapped_restarted_and_upgraded_under_load(
    site: RealSite, server: str, strategy: str
) -> None:
    """And found again after the supervisor was killed, although its socket is still there."""
    site.configure(
        app={"command": SERVERS[server], "stop_timeout": "10s"},
        health={"path": "/", "start_timeout": "60s", "timeout": "10s"},
        swap={"strategy": strategy},
    )
    site.commit("one", files=FILES)
    async with killed_at_the_end(site):
        async with site.steady_load() as texts:
            two = site.commit("two")
            await site.until_live(two)
            await until("it serves", lambda: texts[-1] == "two")
        async with site.steady_load():
            assert (await site.cli("upgrade")).code == 0
            await site.until_live(two)
            three = site.commit("three")
            status = await site.until_live(three)
        [pid] = status["live"]["pids"]
        os.kill(pid, signal.SIGKILL)
        await site.until_logged("the app was killed by SIGKILL")
        assert (await site.get("/")).json() == {"text": "three", "host": "test.example"}
        assert await host_of_a_request_without(site) == "localhost"
    assert socket_of(status).is_socket(), "it was left behind"
    async with site.running(), site.steady_load() as texts:
        four = site.commit("four")
        status = await site.until_live(four)
        await until("it serves", lambda: texts[-1] == "four")
        assert status["last_swap"]["outcome"] == "promoted"


async def test_two_backends_share_the_load_on_sockets_of_their_own(site: RealSite) -> None:
    site.configure(app={"backends": 2})
    site.commit("one")
    async with site.running(), site.steady_load():
        live, pids = (await site.status())["live"], set[int]()

        async def both_have_answered() -> bool:
            pids.add((await site.get("/")).json()["pid"])
            return pids == set(live["pids"])

        await until("both have answered", both_have_answered)
        assert [Path(path).name for path in live["sockets"]] == ["1.sock", "2.sock"]
        status = await site.until_live(site.commit("two"))
        assert len(set(status["live"]["sockets"]) | set(live["sockets"])) == 4


async def host_of_a_request_without(site: RealSite) -> Any:
    """The Host that the app gets with a request of HTTP/1.0 that has none."""
    async with await trio.open_tcp_stream("127.0.0.1", site.port) as client:
        await client.send_all(b"GET / HTTP/1.0\r\n\r\n")
        response = b"".join([part async for part in client])
    return json.loads(response.partition(b"\r\n\r\n")[2])["host"]


@pytest.fixture
def of_nobody(directory: Path) -> RealSite:
    """A site that root runs for another user, with a socket that everyone may write."""
    site = a_site(directory, owner=NOBODY.pw_uid)
    no_umask = "import os, runpy; os.umask(0); runpy.run_path('app.py')"
    site.configure(app={"command": [PYTHON, "-c", no_umask, "{socket}"], "ports": None})
    return site


@as_root
async def test_only_the_user_of_the_app_reaches_its_socket(of_nobody: RealSite) -> None:
    async with of_nobody.running() as site:
        status = await site.status()
        path, [pid] = socket_of(status), status["live"]["pids"]
        assert uid_of(pid) == NOBODY.pw_uid
        assert stat.S_IMODE(path.stat().st_mode) == 0o777, "this app does not protect it"
        slot = path.parent.stat()
        assert (stat.S_IMODE(slot.st_mode), slot.st_uid) == (0o700, NOBODY.pw_uid)
        ours = path.parent.parent.stat()
        assert (stat.S_IMODE(ours.st_mode), ours.st_uid) == (0o711, 0)
        assert (await site.get("/")).status == 200


@as_root
async def test_an_app_cannot_lead_requests_to_a_socket_of_root(of_nobody: RealSite) -> None:
    """As root we could connect to any, such as that of Docker."""
    of_nobody.configure(health={"fall": 3})
    async with of_nobody.running() as site:
        path = socket_of(await site.status())
        with socket.socket(socket.AF_UNIX) as of_root:
            of_root.bind(str(site.directory / "root.sock"))
            of_root.listen(1000)
            of_root.setblocking(False)
            path.unlink()
            path.symlink_to(site.directory / "root.sock")
            await site.until_logged("of user 0 listens there")

            async def is_replaced() -> bool:
                live = (await site.status())["live"]
                return live["slot"] == "green" and (await site.get("/")).status == 200

            await until("the app is started in the other slot", is_replaced)
            received = list(everything_sent_to(of_root))
            assert set(received) == {b""}, "connections, and no byte on any"


def everything_sent_to(listener: socket.socket) -> Iterator[bytes]:
    while True:
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            return
        with connection:
            yield connection.recv(1000)
