"""Supervisors that systemd runs as services of the whole machine, which only root can set up."""

import re
from contextlib import suppress
from pathlib import Path

from blue_green.system import files, procfs

CGROUP = re.compile(
    r"(?m)^[0-9]+:[^:\n]*:/system\.slice/(?:[^/\n]+\.slice/)?([^/\n]+\.service)(?:/|$)"
)
"""The unit of a process in /proc/PID/cgroup (cgroups(7)); those of users are in `user.slice`."""
UNITS = tuple(
    map(Path, ("/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system",
               "/usr/lib/systemd/system", "/lib/systemd/system"))
)  # fmt: skip
MAX_SIZE = 64 * 1024
PROC = procfs.PROC


def is_supervisor(pid: int, uid: int) -> bool:
    """Whether this process of this user belongs to a service that starts blue-green."""
    try:
        text = files.read_start(PROC / str(pid) / "cgroup", MAX_SIZE).decode(errors="replace")
    except OSError:
        return False
    unit = CGROUP.search(text)
    return procfs.uid_of(pid) == uid and unit is not None and _starts_us(unit[1])


def _starts_us(unit: str) -> bool:
    name, at, _ = unit.partition("@")
    template = f"{name}@.service" if at else unit
    for file in (directory / name for directory in UNITS for name in (unit, template)):
        with suppress(OSError, UnicodeDecodeError):
            return "blue-green" in files.read_text(file, MAX_SIZE)
    return False
