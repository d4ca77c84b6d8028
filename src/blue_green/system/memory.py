"""Check that there is memory for a second release beside the live one.

The memory that is available comes from /proc/meminfo (proc(5)) and from the cgroup v2 files of our
control groups (cgroups(7)). A candidate is expected to use as much as the live release. That is a
guess, so too little memory is only a warning by default.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import Literal

PROC = Path("/proc")
GROUPS = Path("/sys/fs/cgroup")


def available() -> float:
    """Bytes that are available without swapping; infinite where that is unknown. Reads files."""
    with suppress(OSError):
        return min(in_machine((PROC / "meminfo").read_text()), *_in_groups(), inf)
    return inf


def in_machine(meminfo: str) -> float:
    """MemAvailable in bytes."""
    match = re.search(r"^MemAvailable:\s+(\d+) kB$", meminfo, re.MULTILINE)
    return int(match[1]) * 1024 if match else inf


def in_group(limit: str, current: str, stat: str) -> float:
    """Bytes that a group may still use, from its memory.max, memory.current and memory.stat.

    Its inactive page cache counts as free, as it does in MemAvailable.
    """
    if limit.strip() == "max":
        return inf
    match = re.search(r"^inactive_file (\d+)$", stat, re.MULTILINE)
    return int(limit) - int(current) + (int(match[1]) if match else 0)


def group_of(cgroup: str) -> Path | None:
    """Our group, from /proc/self/cgroup; None without cgroup v2, or outside of our namespace."""
    match = re.search(r"^0::/(.*)$", cgroup, re.MULTILINE)
    return Path(match[1]) if match and ".." not in match[1] else None


def decide(
    needed: float,
    free: float,
    low_memory: Literal["warn", "refuse", "exclusive"],
    *,
    is_unhealthy: bool,
) -> Literal["enough", "warn", "refuse", "exclusive"]:
    """How to swap. An unhealthy release is replaced even if other swaps are refused."""
    if free >= needed:
        return "enough"
    return "exclusive" if low_memory == "refuse" and is_unhealthy else low_memory


def _in_groups() -> Iterator[float]:
    """Bytes for each of our groups up to the root; a group without the files has no limit."""
    ours = group_of((PROC / "self/cgroup").read_text()) or Path()
    for group in (GROUPS / ours, *(GROUPS / parent for parent in ours.parents)):
        with suppress(OSError):
            names = ("memory.max", "memory.current", "memory.stat")
            yield in_group(*((group / name).read_text() for name in names))
