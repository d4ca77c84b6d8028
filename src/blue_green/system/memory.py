"""Whether there is memory for a second release beside the live one.

What the machine can give is known from /proc/meminfo (proc(5)), and what our control groups may
still take from the cgroup v2 files (cgroups(7)). A candidate is expected to use what the live
release uses. Nobody can know that: so it is a warning by default.
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
    """Bytes that can be had without swapping; infinite where nothing tells. Reads files."""
    with suppress(OSError):
        return min(in_machine((PROC / "meminfo").read_text()), *_in_groups(), inf)
    return inf


def in_machine(meminfo: str) -> float:
    """MemAvailable in bytes."""
    match = re.search(r"^MemAvailable:\s+(\d+) kB$", meminfo, re.MULTILINE)
    return int(match[1]) * 1024 if match else inf


def in_group(limit: str, current: str, stat: str) -> float:
    """What a group may still take, from its memory.max, memory.current and memory.stat.

    The page cache that it has not used lately counts as free, as it does for MemAvailable.
    """
    if limit.strip() == "max":
        return inf
    match = re.search(r"^inactive_file (\d+)$", stat, re.MULTILINE)
    return int(limit) - int(current) + (int(match[1]) if match else 0)


def group_of(cgroup: str) -> Path | None:
    """Our group, from /proc/self/cgroup; None if that shows no cgroup v2, or is out of sight."""
    match = re.search(r"^0::/(.*)$", cgroup, re.MULTILINE)
    return Path(match[1]) if match and ".." not in match[1] else None


def decide(
    needed: float,
    free: float,
    low_memory: Literal["warn", "refuse", "exclusive"],
    *,
    is_unhealthy: bool,
) -> Literal["enough", "warn", "refuse", "exclusive"]:
    """What follows for a swap. What is unwell is replaced also where others are refused."""
    if free >= needed:
        return "enough"
    return "exclusive" if low_memory == "refuse" and is_unhealthy else low_memory


def _in_groups() -> Iterator[float]:
    """For each group on the way up; one without the files has no limit, or no memory controller."""
    ours = group_of((PROC / "self/cgroup").read_text()) or Path()
    for group in (GROUPS / ours, *(GROUPS / parent for parent in ours.parents)):
        with suppress(OSError):
            names = ("memory.max", "memory.current", "memory.stat")
            yield in_group(*((group / name).read_text() for name in names))
