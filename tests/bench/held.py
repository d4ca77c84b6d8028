"""What it costs to wait, and how soon the wait ends."""

import os
import resource
import selectors
import socket
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from attrs import frozen

from tests.bench.peers import LOAD_CORE, PEERS, blue_green, caddy, cpu_seconds, process
from tests.support.site import free_ports

CROWD, MULTITUDE = 200, 5000
APP = Path(__file__).parent / "late_app.py"


@frozen
class Waiting:
    """A proxy before a backend that is not there yet."""

    port: int
    pid: int
    come_up: Path
    """The backend listens once this file is there, and notes when it did."""


Start = Callable[[Path], AbstractContextManager[Waiting]]


@contextmanager
def _ours(directory: Path) -> Iterator[Waiting]:
    come_up = directory / f"come-up-{time.monotonic_ns()}"
    command = [sys.executable, str(APP), "{port}", str(come_up)]
    with blue_green(directory, 0, command=command) as (port, pid):
        yield Waiting(port, pid, come_up)


def _caddy(interval: str) -> Start:
    @contextmanager
    def running(directory: Path) -> Iterator[Waiting]:
        come_up = directory / f"come-up-{time.monotonic_ns()}"
        [origin] = free_ports(1)
        options = f"lb_try_duration 60s\n    lb_try_interval {interval}"
        app = process(sys.executable, str(APP), str(origin), str(come_up), core=LOAD_CORE)
        with app, caddy(directory, origin, options) as (port, pid):
            yield Waiting(port, pid, come_up)

    return running


def table(directory: Path, rounds: int) -> None:
    """Measure and print."""
    raise_file_limit()
    os.sched_setaffinity(0, {int(LOAD_CORE)})
    waiters: dict[str, Start] = {"blue-green": _ours}
    if any(peer.name == "Caddy" and peer.is_installed for peer in PEERS):
        waiters |= {"Caddy, 50 ms": _caddy("50ms"), "Caddy, 250 ms": _caddy("250ms")}
    print(f"\n{'':<16}{'of 200 held: first':>20}{'median':>12}{'last':>12}", end="")
    print(f"{'each of 5000':>16}{'CPU meanwhile':>16}")
    for name, start in waiters.items():
        times = [_wake(directory, start) for _ in range(rounds)]
        first, median, last = (
            statistics.median(column) * 1000 for column in zip(*times, strict=True)
        )
        each, cpu = _wait(directory, start)
        print(f"{name:<16}{first:>17.1f} ms{median:>9.1f} ms{last:>9.1f} ms", end="")
        print(f"{each / 1024:>13.1f} KB{cpu:>14.1f} %")


def _wake(directory: Path, start: Start) -> tuple[float, float, float]:
    """Seconds from the backend listening to the first, the median and the last answer."""
    with start(directory) as waiting:
        clients = _ask(waiting.port, CROWD)
        time.sleep(0.5)
        waiting.come_up.touch()
        answered = _collect(clients)
        at = float(waiting.come_up.with_suffix(".at").read_text())
    return min(answered) - at, statistics.median(answered) - at, max(answered) - at


def _wait(directory: Path, start: Start) -> tuple[float, float]:
    """Bytes for each request that waits, and the CPU's share (in %) while all of them do."""
    with start(directory) as waiting:
        for client in _ask(waiting.port, 200):
            client.close()  # What is there once for all is not to count.
        time.sleep(1)
        before = memory(waiting.pid)
        clients = _ask(waiting.port, MULTITUDE)
        time.sleep(2)
        each = (memory(waiting.pid) - before) / MULTITUDE
        cpu = cpu_seconds(waiting.pid)
        time.sleep(5)
        share = (cpu_seconds(waiting.pid) - cpu) / 5 * 100
        for client in clients:
            client.close()
    return each, share


def _ask(port: int, count: int) -> list[socket.socket]:
    clients = []
    for number in range(count):
        client = socket.create_connection(("127.0.0.1", port), 10)
        client.sendall(b"GET /%d HTTP/1.1\r\nHost: t\r\n\r\n" % number)
        clients.append(client)
    return clients


def _collect(clients: list[socket.socket]) -> list[float]:
    """When each got its answer."""
    answered: list[float] = []
    with selectors.DefaultSelector() as selector:
        for waiting in clients:
            selector.register(waiting, selectors.EVENT_READ, waiting)
        while len(answered) < len(clients):
            ready = selector.select(30)
            assert ready, f"only {len(answered)} of {len(clients)} were answered"
            for key, _ in ready:
                client: socket.socket = key.data
                assert client.recv(65536).startswith(b"HTTP/1.1 200 "), "not answered well"
                answered.append(time.monotonic())
                selector.unregister(client)
                client.close()
    return answered


def memory(pid: int) -> int:
    """Bytes that are resident."""
    resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return resident * os.sysconf("SC_PAGE_SIZE")


def raise_file_limit() -> None:
    """Let this process open as many files as it may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
