"""What it costs to find a site among many."""

import statistics
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from attrs import frozen

from tests.bench.peers import PROXY_CORE, cpu_seconds, nginx_origin, process
from tests.bench.throughput import Row
from tests.support.site import free_ports

MANY = 500
HOSTS = """\
local n = 0
request = function()
  n = (n + 1) %% %d
  return "GET /small HTTP/1.1\\r\\nHost: site" .. n .. ".example.com\\r\\n\\r\\n"
end
"""


@frozen
class SitesCase:
    """How many sites there are, and how many of them get requests."""

    name: str
    sites: int
    requested: int


CASES = [
    SitesCase("1 site", 1, 1),
    SitesCase(f"{MANY} sites, requests to 1", MANY, 1),
    SitesCase(f"{MANY} sites, requests to all", MANY, MANY),
]


def table(directory: Path, rounds: int, seconds: float) -> None:
    """Measure and print."""
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    with ExitStack() as stack:
        origin = stack.enter_context(nginx_origin(directory))
        # Each has a process of its own, or one would close the idle connections of another.
        running = {case: stack.enter_context(_sites(origin, case.sites)) for case in CASES}
        for number in range(rounds):
            for case in CASES if number % 2 else reversed(CASES):
                port, pid = running[case]
                before = cpu_seconds(pid)
                row = Row("routing", "/small", script=HOSTS % case.requested)
                rate = row.measure(port, pid, directory, seconds)
                cost = (cpu_seconds(pid) - before) / (rate * seconds)
                found[case.name].append((rate, cost * 1e6))
    print(f"\n{'':<28}{'requests/s':>12}{'CPU a request':>16}")
    for name, values in found.items():
        rate, cost = (statistics.median(column) for column in zip(*values, strict=True))
        print(f"{name:<28}{rate:>12,.0f}{cost:>13.1f} us")


@contextmanager
def _sites(origin: int, count: int) -> Iterator[tuple[int, int]]:
    """A proxy with so many sites. Gives its port and pid."""
    [port] = free_ports(1)
    words = (sys.executable, "-m", "tests.bench.many_sites", str(port), str(origin), str(count))
    with process(*words, core=PROXY_CORE, port=port) as pid:
        yield port, pid
