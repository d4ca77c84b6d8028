"""What /proc tells about processes that are not our children (proc(5)).

Everything here races with processes that end; what is gone is left out, never an error.
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
from blue_green.system.line_reader import text

PROC = Path("/proc")
ENDED = (b"Z", b"X")
LOOKS = 3
UIDS = re.compile(rb"(?m)^Uid:\t\d+\t(\d+)")
LOCKS = re.compile(rb"(?m)^Max file locks +(\d+) ")


@frozen
class ProcessInfo:
    """A process that we found and did not start."""

    pid: int
    command: str

    def __str__(self) -> str:
        return f"pid {self.pid} ({self.command})" if self.pid else "another process"


def start_time(pid: int) -> int | None:
    """When the process began, in clock ticks since boot: with the pid, who it is."""
    fields = _stat(pid)
    return int(fields[19]) if fields else None


def is_alive(pid: int) -> bool:
    """Whether it runs; a zombie does not."""
    fields = _stat(pid)
    return bool(fields) and fields[0] not in ENDED


def marked(mark: str) -> list[int]:
    """The pids of all living processes of one supervisor, but our own.

    The mark is a `NAME=value` in their environment; the value also names the owner of their tags.
    """
    owner = rlimit_tag.prefix(mark.partition("=")[2])

    def is_of_it(pid: int, _: Sequence[bytes]) -> bool:
        return rlimit_tag.prefix_of(_tag(pid)) == owner or _has(pid, mark.encode())

    return _living(is_of_it)


def family(mark: str, leader: int) -> list[int]:
    """A command's descendants that live, but not the command itself.

    Those in its process group, and those that left it: the mark in their environment tells, or
    the tag that the value of the mark names in hexadecimal.
    """
    number = rlimit_tag.named(mark.partition("=")[2])

    def is_of_it(pid: int, fields: Sequence[bytes]) -> bool:
        if pid == leader:
            return False
        return int(fields[2]) == leader or _tag(pid) == number or _has(pid, mark.encode())

    return _living(is_of_it)


def _living(is_of_it: Callable[[int, Sequence[bytes]], bool]) -> list[int]:
    """The pids of all living processes, but ours, that this holds for.

    One that ends while we look may have had a child that was not there yet when they were listed,
    as daemons do. So if none was found, and one has ended, it is looked again.
    """
    ours = os.getpid()
    for _ in range(LOOKS):
        found, has_ended = [], False
        for pid in pids():
            fields = _stat(pid)
            if not fields or fields[0] in ENDED:
                has_ended = has_ended or not fields or is_of_it(pid, fields)
            elif pid != ours and is_of_it(pid, fields):
                found.append(pid)
        if found or not has_ended:
            return found
    return []


def group_of(pid: int) -> int | None:
    """The process group that a process is in."""
    fields = _stat(pid)
    return int(fields[2]) if fields else None


def parent_of(pid: int) -> int | None:
    """The pid of its parent."""
    fields = _stat(pid)
    return int(fields[1]) if fields else None


def uid_of(pid: int) -> int | None:
    """The user that it runs as: the effective uid."""
    with suppress(OSError):
        if found := UIDS.search((PROC / str(pid) / "status").read_bytes()):
            return int(found[1])
    return None


def memory(pid: int) -> int:
    """Bytes that the process uses, in memory or swapped out; what it shares counts in part.

    Where that cannot be read, as for another user's, all that is resident counts, shared or not.
    """
    with suppress(OSError):
        rollup = (PROC / str(pid) / "smaps_rollup").read_text()
        return 1024 * sum(map(int, re.findall(r"(?m)^(?:Swap)?Pss:\s+(\d+) kB$", rollup)))
    with suppress(OSError):
        return int((PROC / str(pid) / "statm").read_text().split()[1]) * resource.getpagesize()
    return 0


def memory_of(families: Sequence[tuple[str, int]]) -> int:
    """Bytes that some commands, each known by its mark and its pid, and their descendants use."""
    return sum(memory(pid) for mark, pid in families for pid in (pid, *family(mark, pid)))


def send(how: signal.Signals, pid: int, began: int | None = None) -> bool:
    """Signal exactly this process, if it still is the one that began then.

    Through a pidfd, so that a pid used again for another process is never hit.
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
    """Which boot of the machine this is: start times are counted from it.

    Read once: a site that has run out of descriptors still writes its state.
    """
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def _stat(pid: int) -> list[bytes]:
    """The fields of /proc/PID/stat from the third on: state, parent, group, ..."""
    with suppress(OSError):
        # The second field is the command's name in parentheses, and may itself hold anything.
        return (PROC / str(pid) / "stat").read_bytes().rpartition(b") ")[2].split()
    return []


def _tag(pid: int) -> int:
    """The soft limit of file locks, which no kernel obeys: see `tag`. 0 where there is none."""
    with suppress(OSError):
        if found := LOCKS.search((PROC / str(pid) / "limits").read_bytes()):
            return int(found[1])
    return 0


def _has(pid: int, mark: bytes) -> bool:
    with suppress(OSError):
        return mark in (PROC / str(pid) / "environ").read_bytes().split(b"\0")
    return False


def command(pid: int) -> str:
    """Its command line, or the beginning of it."""
    with suppress(OSError):
        words = (PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
        return text(b" ".join(words)).strip()[:80]
    return "?"


def pids() -> Iterator[int]:
    """Of all processes that we may see."""
    return (int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit())
