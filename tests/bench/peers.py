"""The proxies that are compared, each in front of an origin on a known port."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import tomli_w
from attrs import frozen

from tests.support.app_checkout import git
from tests.support.site import free_ports

PROXY_CORE, LOAD_CORE = "0", "1"

ORIGIN = """\
daemon off; worker_processes 1; pid {directory}/nginx-{port}.pid; error_log /dev/null;
events {{ worker_connections 16384; }}
http {{
  access_log off; keepalive_requests 100000000; client_max_body_size 0; sendfile on;
  client_body_temp_path {directory}/tmp-{port};
  server {{
    listen 127.0.0.1:{port} backlog=16384;
    root {directory}/www;
    location = /small {{ return 200 "hello world\\n"; }}
    location = /upload {{ client_body_buffer_size 1m; return 200 "thanks\\n"; }}
  }}
}}
"""

NGINX = """\
daemon off; master_process off; pid {directory}/nginx-{port}.pid; error_log /dev/null;
events {{ worker_connections 16384; }}
http {{
  access_log off; keepalive_requests 100000000; client_max_body_size 0;
  client_body_temp_path {directory}/tmp-{port}; proxy_temp_path {directory}/tmp-proxy-{port};
  upstream origin {{ server 127.0.0.1:{origin}; keepalive 64; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=16384{tls};
    location / {{
      proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr;
    }}
  }}
}}
"""

NGINX_TLS = """ ssl{http2};
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_certificate {pem};
    ssl_certificate_key {pem}"""

HAPROXY = """\
global
  nbthread 1
  maxconn 5000
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option forwardfor
frontend f
  bind 127.0.0.1:{port} {tls}
  default_backend b
backend b
  http-reuse always
  server origin 127.0.0.1:{origin}
"""

CADDY = """\
{{
  admin off
  auto_https off
  log {{
    level ERROR
  }}
  servers {{
    protocols {protocols}
  }}
}}
{scheme}://:{port} {{
  bind 127.0.0.1
  {tls}
  reverse_proxy 127.0.0.1:{origin} {{
    {options}
  }}
}}
"""


@frozen
class PeerProxy:
    """A proxy: how it is called, and how it is run until the block ends, on a port."""

    name: str
    is_installed: bool
    running: Callable[..., AbstractContextManager[tuple[int, int]]]
    """Gets a directory and the origin's port, and for TLS `pem`, the file with the certificate and
    its key, and whether it speaks `http2`; gives the proxy's port and pid."""


@contextmanager
def process(
    *words: str, core: str, port: int | None = None, env: dict[str, str] | None = None
) -> Iterator[int]:
    """A process on one core, until the block ends; begins when it listens. Gives its pid."""
    running = subprocess.Popen(
        ["taskset", "-c", core, *words],
        env={**os.environ, **(env or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        if port is not None:
            wait_for(port)
        yield running.pid
    finally:
        running.terminate()
        running.wait(20)


def cpu_seconds(pid: int) -> float:
    """The time for which all threads of the process have run (clock_getcpuclockid(3))."""
    return time.clock_gettime((~pid << 3) | 2)  # The number of its clock: CPUCLOCK_SCHED is 2.


def wait_for(port: int) -> None:
    """Wait until something listens."""
    for _ in range(2000):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.01)
        else:
            return
    raise AssertionError(f"nothing listens on port {port}")


@contextmanager
def nginx_origin(directory: Path) -> Iterator[int]:
    """A static origin on the core of the load. Gives its port."""
    [port] = free_ports(1)
    config = directory / f"origin-{port}.conf"
    config.write_text(ORIGIN.format(directory=directory, port=port))
    with process("nginx", "-p", str(directory), "-c", str(config), core=LOAD_CORE, port=port):
        yield port


@contextmanager
def nginx(
    directory: Path, origin: int, pem: Path | None = None, http2: bool = False
) -> Iterator[tuple[int, int]]:
    [port] = free_ports(1)
    config = directory / f"nginx-{port}.conf"
    tls = "" if pem is None else NGINX_TLS.format(pem=pem, http2=" http2" if http2 else "")
    config.write_text(NGINX.format(directory=directory, port=port, origin=origin, tls=tls))
    words = ("nginx", "-p", str(directory), "-c", str(config))
    with process(*words, core=PROXY_CORE, port=port) as pid:
        yield port, pid


@contextmanager
def haproxy(
    directory: Path, origin: int, pem: Path | None = None, http2: bool = False
) -> Iterator[tuple[int, int]]:
    [port] = free_ports(1)
    config = directory / f"haproxy-{port}.cfg"
    tls = "" if pem is None else f"ssl crt {pem} alpn {'h2' if http2 else 'http/1.1'}"
    config.write_text(HAPROXY.format(port=port, origin=origin, tls=tls))
    with process("haproxy", "-db", "-f", str(config), core=PROXY_CORE, port=port) as pid:
        yield port, pid


@contextmanager
def caddy(
    directory: Path,
    origin: int,
    options: str = "",
    *,
    pem: Path | None = None,
    http2: bool = False,
) -> Iterator[tuple[int, int]]:
    [port] = free_ports(1)
    config = directory / f"Caddyfile-{port}"
    scheme, tls = ("http", "") if pem is None else ("https", f"tls {pem} {pem}")
    text = CADDY.format(
        port=port,
        origin=origin,
        options=options,
        protocols="h1 h2" if http2 else "h1",
        scheme=scheme,
        tls=tls,
    )
    config.write_text(text)
    env = {"GOMAXPROCS": "1", "HOME": str(directory), "XDG_DATA_HOME": str(directory)}
    words = (caddy_command() or "caddy", "run", "--adapter", "caddyfile", "--config", str(config))
    with process(*words, core=PROXY_CORE, port=port, env=env) as pid:
        yield port, pid


@contextmanager
def supervisor(directory: Path, port: int, settings: Mapping[str, Any]) -> Iterator[int]:
    """Our supervisor with these settings, which serves on this port; its pid."""
    state = {"directory": str(directory / f"state-{port}")}
    file = directory / f"supervisor-{port}.toml"
    file.write_text(tomli_w.dumps({**settings, "state": state}))
    words = (sys.executable, "-m", "blue_green", "run", str(file))
    with process(*words, core=PROXY_CORE, port=port) as pid:
        yield pid


@contextmanager
def blue_green(
    directory: Path,
    origin: int,
    *,
    log: bool = False,
    command: list[str] | None = None,
    pem: Path | None = None,
    http2: bool = False,
) -> Iterator[tuple[int, int]]:
    """The whole supervisor; the origin that it starts is another one of the same kind."""
    port, blue, green = free_ports(3)
    checkout = directory / f"checkout-{port}"
    checkout.mkdir()
    for slot in (blue, green):
        config = ORIGIN.format(directory=directory, port=slot)
        (checkout / f"origin-{slot}.conf").write_text(config)
    git(checkout, "init", "-q", "-b", "main")
    git(checkout, "add", "-A")
    git(checkout, "commit", "-q", "-m", "origin")
    pinned = ["taskset", "-c", LOAD_CORE]
    serve = ["nginx", "-p", str(directory), "-c", f"{checkout}/origin-{{port}}.conf"]
    tls: dict[str, Any] = {}
    if pem is not None:
        tls = {"tls": {"certificate": str(pem), "key": str(pem)}, "http2": {"enabled": http2}}
    settings = {
        "app": {"command": [*pinned, *(command or serve)], "ports": [blue, green]},
        "git": {"checkout": str(checkout)},
        "health": {"path": "/small" if command is None else "/healthz", "interval": "10s"},
        "hold": {"limit": 10_000, "per_client": 10_000, "timeout": "60s"},
        "proxy": {"listen": [f"127.0.0.1:{port}"], "access_log": log, **tls},
    }
    with supervisor(directory, port, settings) as pid:
        yield port, pid


@contextmanager
def blue_green_with_log(directory: Path, origin: int) -> Iterator[tuple[int, int]]:
    with blue_green(directory, origin, log=True) as running:
        yield running


def caddy_command() -> str | None:
    return shutil.which("caddy", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")


OURS = PeerProxy("blue-green", True, blue_green)
WITH_LOG = PeerProxy("with log", True, blue_green_with_log)
PEERS = [
    OURS,
    WITH_LOG,
    PeerProxy("nginx", shutil.which("nginx") is not None, nginx),
    PeerProxy("HAProxy", shutil.which("haproxy") is not None, haproxy),
    PeerProxy("Caddy", caddy_command() is not None, caddy),
]
