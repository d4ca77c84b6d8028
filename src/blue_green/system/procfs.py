"""Information from /proc about processes, including those that are not our children (proc(5)).

Everything here races with processes that end: those that are gone are left out without an error.
"""

import os
import re
import resource
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from attrs import frozen

from blue_green.system import rlimit_tag
from blue_green.system.printable import printable_line

PROC = Path("/proc")
ENDED = (b"Z", b"X")
MAX_SCANS = 3
START_TIME = 19
"""The index of a process's start time in the fields of `_stat`."""
UIDS = re.compile(rb"(?m)^Uid:\t\d+\t(\d+)")
LOCKS = re.compile(rb"Max file locks +(\d+) ")
STAT_BYTES = 4096
"""More than /proc/PID/stat can have."""


@frozen
class ProcessInfo:
    """A process that we found and did not start."""

    pid: int
    command: str

    def __str__(self) -> str:
        return f"pid {self.pid} ({self.command})" if self.pid else "another process"


def start_time(pid: int) -> int | None:
    """When the process began, in clock ticks since boot: together with the pid, it is unique."""
    fields = _stat(pid)
    return int(fields[START_TIME]) if fields else None


def is_alive(pid: int) -> bool:
    """Whether it runs; a zombie does not."""
    fields = _stat(pid)
    return bool(fields) and fields[0] not in ENDED


def pids_of_supervisor(env_marker: str) -> list[int]:
    """The pids of all running processes of a supervisor, except our own.

    The marker is a `NAME=value` in their environment; their tags are derived from its value.
    """
    prefix = rlimit_tag.prefix(env_marker.partition("=")[2])

    def matches(pid: int, _: Sequence[bytes]) -> bool:
        return rlimit_tag.prefix_of(_tag(pid)) == prefix or _has(pid, env_marker.encode())

    return _running(matches)


def descendants(env_marker: str, leader: int) -> list[int]:
    """The pids of all running descendants of a command, without the command itself.

    Those in its process group, and those that have left it but have the marker in their
    environment, or the tag that the marker contains in hexadecimal. Reading these takes most of the
    time, so processes that are older than the command are left out before. The command must run or
    be a zombie, since the process that its pid is given to next would be younger.
    """
    tag = rlimit_tag.parse(env_marker.partition("=")[2])
    began = start_time(leader) or 0

    def matches(pid: int, fields: Sequence[bytes]) -> bool:
        if pid == leader or int(fields[START_TIME]) < began:
            return False
        return int(fields[2]) == leader or _tag(pid) == tag or _has(pid, env_marker.encode())

    return _running(matches)


def _running(matches: Callable[[int, Sequence[bytes]], bool]) -> list[int]:
    """The pids of all running processes that match, except our own.

    A process that ends during the scan may have had a child that was not there yet when the pids
    were listed, as daemons do. So if none was found and one has ended, scan again.
    """
    ours = os.getpid()
    for _ in range(MAX_SCANS):
        found, has_ended = [], False
        for pid in pids():
            fields = _stat(pid)
            if not fields or fields[0] in ENDED:
                has_ended = has_ended or not fields or matches(pid, fields)
            elif pid != ours and matches(pid, fields):
                found.append(pid)
        if found or not has_ended:
            return found
    return []


def group_of(pid: int) -> int | None:
    """The process group of a process."""
    fields = _stat(pid)
    return int(fields[2]) if fields else None


def parent_of(pid: int) -> int | None:
    """The pid of a process's parent."""
    fields = _stat(pid)
    return int(fields[1]) if fields else None


def uid_of(pid: int) -> int | None:
    """The effective uid of a process."""
    with suppress(OSError):
        if found := UIDS.search((PROC / str(pid) / "status").read_bytes()):
            return int(found[1])
    return None


def memory(pid: int) -> int:
    """Bytes that a process uses, in memory or swapped out, with its part of shared memory.

    Where that cannot be read, as for another user's process, its resident set size.
    """
    with suppress(OSError):
        rollup = (PROC / str(pid) / "smaps_rollup").read_text()
        return 1024 * sum(map(int, re.findall(r"(?m)^(?:Swap)?Pss:\s+(\d+) kB$", rollup)))
    with suppress(OSError):
        return int((PROC / str(pid) / "statm").read_text().split()[1]) * resource.getpagesize()
    return 0


def memory_of(commands: Sequence[tuple[str, int]]) -> int:
    """Bytes that some commands, each given by its marker and its pid, and their descendants use."""
    return sum(
        memory(pid)
        for env_marker, leader in commands
        for pid in (leader, *descendants(env_marker, leader))
    )


def send(how: signal.Signals, pid: int, began: int | None = None) -> bool:
    """Signal a process, if it is still the one that began then; whether it was signalled.

    Uses a pidfd, so that a reused pid is never hit.
    """
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        if began is not None and start_time(pid) != began:
            return False
        signal.pidfd_send_signal(handle, how)
    except (ProcessLookupError, PermissionError):
        return False
    finally:
        os.close(handle)
    return True


@cache
def boot_id() -> str:
    """The boot ID of the machine, which start times are relative to.

    Read once, so that a site that has run out of descriptors can still write its state.
    """
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def _stat(pid: int) -> list[bytes]:
    """The fields of /proc/PID/stat from the third on: state, parent, group, ..."""
    try:
        descriptor = os.open(f"{PROC}/{pid}/stat", os.O_RDONLY)
    except OSError:
        return []
    try:
        # The second field is the command's name in parentheses, which may contain anything.
        return os.read(descriptor, STAT_BYTES).rpartition(b") ")[2].split()
    except OSError:
        return []
    finally:
        os.close(descriptor)


def _tag(pid: int) -> int:
    """The tag of a process (see `rlimit_tag`); 0 if it has none."""
    with suppress(OSError):
        if found := LOCKS.search((PROC / str(pid) / "limits").read_bytes()):
            return int(found[1])
    return 0


def _has(pid: int, env_marker: bytes) -> bool:
    with suppress(OSError):
        return env_marker in (PROC / str(pid) / "environ").read_bytes().split(b"\0")
    return False


def command(pid: int) -> str:
    """The command line of a process, or the beginning of it."""
    with suppress(OSError):
        words = (PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
        return printable_line(b" ".join(words)).strip()[:80]
    return "?"


def pids() -> Iterator[int]:
    """The pids of all processes that we may see."""
    return (int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit())
