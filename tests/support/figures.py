"""What a running supervisor uses and leaves: memory, descriptors, processes, releases, files."""

import re
from collections import Counter
from contextlib import suppress
from pathlib import Path

from attrs import frozen

from tests.support.site import RealSite

PROC = Path("/proc")
PIDFD = "anon_inode:[pidfd]"
_NUMBER = re.compile(r":\[\d+\]$")
"""Which socket or pipe it is."""


@frozen
class Figures:
    """One look at a site, and at its supervisor."""

    memory: int
    """KiB that are resident, of the supervisor."""
    descriptors: Counter[str]
    """By what they are, without the connections to the live backend that wait to be used again."""
    idle: int
    """Connections to the live backend."""
    processes: list[int]
    worktrees: list[str]
    releases: list[str]
    files: list[str]
    """What is in the state directory."""


def look_at(site: RealSite, live_port: int) -> Figures:
    """Reads /proc (proc(5)), and so takes some milliseconds of the test's own time."""
    assert site.process is not None
    pid = site.process.pid
    descriptors = _descriptors(pid)
    idle = descriptors.pop(f"a connection to port {live_port}", 0)
    return Figures(
        memory=memory_of(pid),
        descriptors=descriptors,
        idle=idle,
        processes=site.processes(),
        worktrees=site.worktrees(),
        releases=site.releases(),
        files=sorted(path.name for path in site.state.iterdir()),
    )


def memory_of(pid: int) -> int:
    """KiB that are resident."""
    status = (PROC / str(pid) / "status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def _descriptors(pid: int) -> Counter[str]:
    sockets = _sockets()
    found: Counter[str] = Counter()
    for descriptor in (PROC / str(pid) / "fd").iterdir():
        with suppress(FileNotFoundError):  # It was closed while we looked.
            target = str(descriptor.readlink())
            name = sockets.get(target, target)
            found[_NUMBER.sub("", name)] += 1
    return found


def _sockets() -> dict[str, str]:
    """What each TCP socket is, by the name it has in /proc/PID/fd."""
    names = {}
    for line in (PROC / "net" / "tcp").read_text().splitlines()[1:]:
        fields = line.split()
        local, remote = (int(address.rpartition(":")[2], 16) for address in fields[1:3])
        what = "a connection to" if remote else "a listener on"
        names[f"socket:[{fields[9]}]"] = f"{what} port {remote or local}"
    return names
