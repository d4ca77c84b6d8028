"""Files of a release, beside web servers with their usual configuration.

The figures are for a second of the server's CPU: for a large file, the load generator is slower
than any of them.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.comparison import compare
from tests.bench.peers import PROXY_CORE, PeerProxy, caddy_command, process, supervisor
from tests.bench.throughput import BROWSER, Row
from tests.bench.tls import PerCpuSecond
from tests.support.app_checkout import git
from tests.support.site import free_ports

NGINX = """\
daemon off; master_process off; pid {directory}/nginx-{port}.pid; error_log /dev/null;
events {{ worker_connections 16384; }}
http {{
  access_log off; keepalive_requests 100000000; sendfile on; tcp_nopush on;
  client_body_temp_path {directory}/tmp-{port};
  {cache}
  server {{ listen 127.0.0.1:{port} backlog=16384; root {directory}/www; }}
}}
"""
CACHE = "open_file_cache max=1000;"
CADDY = """\
{{
  admin off
  auto_https off
  log {{
    level ERROR
  }}
  servers {{
    protocols h1
  }}
}}
http://:{port} {{
  bind 127.0.0.1
  root * {directory}/www
  file_server
}}
"""
ROWS = [
    PerCpuSecond(Row("1 KB", "/1k")),
    PerCpuSecond(Row("10 KB", "/10k")),
    PerCpuSecond(
        Row("10 KB, unique browser heads", "/10k", script=BROWSER.replace("small", "10k"))
    ),
    PerCpuSecond(Row("100 KB", "/100k")),
    PerCpuSecond(Row("1 MB", "/1m")),
    PerCpuSecond(Row("10 MB", "/10m", connections=4, unit="MB/s")),
]
SIZES = {"1k": 1_000, "10k": 10_000, "1m": 1_000_000, "10m": 10_000_000}


@contextmanager
def blue_green(directory: Path, origin: int) -> Iterator[tuple[int, int]]:
    """A static site."""
    [port] = free_ports(1)
    checkout = directory / f"files-{port}"
    shutil.copytree(directory / "www", checkout / "public")
    (checkout / "public/100m").unlink()
    git(checkout, "init", "-q", "-b", "main")
    git(checkout, "add", "-A")
    git(checkout, "commit", "-q", "-m", "files")
    settings = {
        "files": {"/": "public"},
        "git": {"checkout": str(checkout)},
        "proxy": {"listen": [f"127.0.0.1:{port}"], "access_log": False},
    }
    with supervisor(directory, port, settings) as pid:
        yield port, pid


@contextmanager
def nginx(directory: Path, origin: int, cache: str = "") -> Iterator[tuple[int, int]]:
    [port] = free_ports(1)
    config = directory / f"nginx-{port}.conf"
    config.write_text(NGINX.format(directory=directory, port=port, cache=cache))
    words = ("nginx", "-p", str(directory), "-c", str(config))
    with process(*words, core=PROXY_CORE, port=port) as pid:
        yield port, pid


@contextmanager
def nginx_with_cache(directory: Path, origin: int) -> Iterator[tuple[int, int]]:
    with nginx(directory, origin, CACHE) as running:
        yield running


@contextmanager
def caddy(directory: Path, origin: int) -> Iterator[tuple[int, int]]:
    [port] = free_ports(1)
    config = directory / f"Caddyfile-{port}"
    config.write_text(CADDY.format(directory=directory, port=port))
    env = {"GOMAXPROCS": "1", "HOME": str(directory), "XDG_DATA_HOME": str(directory)}
    words = (caddy_command() or "caddy", "run", "--adapter", "caddyfile", "--config", str(config))
    with process(*words, core=PROXY_CORE, port=port, env=env) as pid:
        yield port, pid


SERVERS = [
    PeerProxy("blue-green", True, blue_green),
    PeerProxy("nginx", True, nginx),
    PeerProxy("open_file_cache", True, nginx_with_cache),
    PeerProxy("Caddy", caddy_command() is not None, caddy),
]


def table(directory: Path, rounds: int, seconds: float, only: str) -> None:
    """Measure and print."""
    www = directory / "www"
    www.mkdir(exist_ok=True)
    for name, size in SIZES.items():
        (www / name).write_bytes(bytes(size))
    compare(SERVERS, [row for row in ROWS if only in row.name], directory, rounds, seconds)
