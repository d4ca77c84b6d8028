"""Proxies in front of a real site, which they reach over HTTP/2, also during a swap."""

import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from attrs import frozen
from websockets.exceptions import ConnectionClosed

from tests.support.http2_site import Http2Site
from tests.support.http_client import HttpClient
from tests.support.site import free_ports
from tests.support.websocket import websocket
from tests.waiting import until

pytestmark = pytest.mark.long

PATH = f"{os.environ['PATH']}:/usr/sbin:/usr/local/bin"
CLIENTS = 20

HAPROXY = """
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend site
    bind 127.0.0.1:{port}
    default_backend blue_green
backend blue_green
    http-reuse always
    default-server ssl verify required verifyhost localhost sni str(localhost) alpn h2
    server one 127.0.0.1:{upstream} ca-file {root}
"""

CADDY = """
{{
    admin off
    auto_https off
}}
http://:{port} {{
    bind 127.0.0.1
    reverse_proxy https://localhost:{upstream} {{
        transport http {{
            versions 2
            tls_trust_pool file {root}
            tls_server_name localhost
        }}
    }}
}}
"""

NGINX = """
daemon off; pid {directory}/nginx.pid; error_log stderr; worker_processes 1;
events {{ }}
http {{
    access_log off; client_body_temp_path {directory}/temp; client_max_body_size 0;
    upstream site {{ server 127.0.0.1:{upstream}; keepalive 4; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            grpc_pass grpcs://site; grpc_ssl_verify on; grpc_ssl_trusted_certificate {root};
            grpc_ssl_name localhost; grpc_ssl_server_name on;
        }}
    }}
}}
"""


@frozen
class Front:
    """A proxy in front."""

    program: str
    config: str
    words: Sequence[str]
    """The rest of its command line; `FILE` stands for its configuration."""


HAPROXY_FRONT = Front("haproxy", HAPROXY, ("-db", "-f", "FILE"))
FRONTS = [
    HAPROXY_FRONT,
    Front("caddy", CADDY, ("run", "--adapter", "caddyfile", "--config", "FILE")),
    # The only module of nginx that speaks HTTP/2 to a server is that for gRPC.
    Front("nginx", NGINX, ("-e", "stderr", "-c", "FILE")),
]


@asynccontextmanager
async def running(front: Front, site: Http2Site, directory: Path) -> AsyncIterator[int]:
    """The proxy until the block ends; its port."""
    program = shutil.which(front.program, path=PATH)
    if program is None:
        pytest.skip(f"needs {front.program}")
    [port] = free_ports(1)
    file, log = directory / "front.conf", directory / "front.log"
    file.write_text(
        front.config.format(port=port, upstream=site.port, root=site.root, directory=directory)
    )
    words = [program, *(str(file) if word == "FILE" else word for word in front.words)]
    env = {**os.environ, "XDG_DATA_HOME": str(directory), "XDG_CONFIG_HOME": str(directory)}
    with log.open("wb") as output:
        process = subprocess.Popen(words, stdout=output, stderr=output, env=env)
    try:
        await until(f"{front.program} listens", lambda: listens(port, process, log))
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        await trio.to_thread.run_sync(process.wait, 20)


async def listens(port: int, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    try:
        await (await trio.open_tcp_stream("127.0.0.1", port)).aclose()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("front", FRONTS, ids=lambda front: front.program)
async def test_a_proxy_in_front_forwards_requests_during_swaps(
    tmp_path: Path, front: Front
) -> None:
    site = Http2Site(tmp_path)
    site.commit("one")
    async with site.running(), running(front, site, tmp_path) as port:
        texts: list[str] = []
        async with trio.open_nursery() as nursery:
            for number in range(CLIENTS):
                nursery.start_soon(send_requests, port, number, texts)
            await until("requests", lambda: len(texts) > 50)
            for text in ("two", "three"):
                await site.until_live(site.commit(text))
                await until(f"responses of {text}", lambda: texts[-50:] == [text] * 50)  # noqa: B023
            nursery.cancel_scope.cancel()
        lines = site.journal_of("/load")
        assert len(lines) > 150
        assert {line["via"].rpartition(", ")[2] for line in lines} == {"2.0 blue-green"}
        assert not [line for line in site.log().splitlines() if " request status=5" in line]


async def send_requests(port: int, number: int, texts: list[str]) -> None:
    """Send requests one after the other, as one client."""
    body = b"x" * 100_000 if number % 2 else b""
    async with HttpClient(port) as http:
        while True:
            answer = await http.request("POST" if body else "GET", "/load", body)
            assert answer.status == 200, answer
            got = answer.json()
            assert got["length"] == len(body)
            texts.append(got["text"])


async def test_haproxy_opens_websockets_over_http2(tmp_path: Path) -> None:
    """Its client uses HTTP/1.1. Caddy and nginx use that for all WebSockets."""
    site = Http2Site(tmp_path, "streaming", swap={"stream_timeout": "1s"})
    site.commit("one")
    async with site.running(), running(HAPROXY_FRONT, site, tmp_path) as port:
        async with websocket(port, "/ws") as socket:
            assert await socket.receive() == "one"
            await site.until_live(site.commit("two"))
            with pytest.raises(ConnectionClosed) as closed:
                await socket.receive()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
        assert [line["via"] for line in site.journal_of("/ws")] == ["2.0 blue-green"]
