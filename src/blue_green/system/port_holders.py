"""Which sockets listen, and whose they are (proc(5), /proc/net).

Any user of the machine can open a port that is free. One that opens the port of a backend which is
slow to start would answer the probes in its place, and be sent everybody's requests. So an answer
proves nothing before the socket that gave it is known to belong to the backend.

Everything here reads /proc, which may take milliseconds: it is for a thread.
"""

import pwd
import socket
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

from attrs import frozen

from blue_green.system import procfs
from blue_green.system.procfs import PROC, ProcessInfo

LISTEN = "0A"
"""The state of a listening socket in /proc/net/tcp. These come first there."""
ACCEPTS = 0x10000
"""The flag of a listening socket in /proc/net/unix."""
LOOPBACK, EVERYWHERE, EVERYWHERE_6 = ("127.0.0.1", "::ffff:127.0.0.1"), ("0.0.0.0",), ("::",)
"""Addresses that take connections to 127.0.0.1. The kernel prefers them in this order."""
MOST_DESCRIPTORS = 10_000
"""Of one process: after so many we do not go on looking for its listening sockets."""
LONGEST_LOOK = 0.5
"""Seconds after which we do not go on looking for who it is that has a port."""
MOST_SHOWN = 4
"""Sockets that are named where it is said on which a program listens."""
MOST_PARENTS = 50
"""Between a process and the command that it is said to descend from."""


@frozen
class ListeningSocket:
    """A listening socket."""

    where: str
    """`127.0.0.1:3000`, `[::1]:3000` or `unix:/run/app.sock`."""
    inode: int
    host: str = ""
    port: int = 0
    uid: int = -1
    """Who opened it; not known of Unix sockets."""

    def __str__(self) -> str:
        return self.where

    @property
    def is_local(self) -> bool:
        """Only programs of this machine can connect to it."""
        return not self.host or ip_address(self.host.removeprefix("::ffff:")).is_loopback


@frozen
class Owned:
    """The sockets of a command and its descendants."""

    inodes: Mapping[int, Path]
    """The number of each, and by which descriptor somebody has it (/proc/PID/fd/N)."""
    is_complete: bool = True
    """All of their descriptors could be seen."""


def on_tcp() -> Iterator[ListeningSocket]:
    """All TCP sockets that listen in our network namespace."""
    for table, family in (("self/net/tcp", socket.AF_INET), ("self/net/tcp6", socket.AF_INET6)):
        with suppress(FileNotFoundError), (PROC / table).open() as rows:  # There may be no IPv6.
            next(rows, None)
            for row in rows:
                fields = row.split()
                if fields[3] != LISTEN:
                    break
                host, port = _address(fields[1], family)
                shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
                yield ListeningSocket(shown, int(fields[9]), host, port, int(fields[7]))


def on_unix() -> Iterator[ListeningSocket]:
    """All Unix sockets that listen in our network namespace."""
    with (PROC / "self/net/unix").open(errors="replace") as rows:
        next(rows, None)
        for row in rows:
            fields = row.rstrip("\n").split(maxsplit=7)
            if int(fields[3], 16) & ACCEPTS:
                yield ListeningSocket(
                    f"unix:{fields[7] if len(fields) > 7 else ''}", int(fields[6])
                )


def reached_by(port: int, listeners: Iterable[ListeningSocket]) -> list[ListeningSocket]:
    """Those that take connections to this port of 127.0.0.1: several, if they share it."""
    there = [one for one in listeners if one.port == port]
    for hosts in (LOOPBACK, EVERYWHERE, EVERYWHERE_6):
        if found := [one for one in there if one.host in hosts]:
            return found
    return []


def of(mark: str, leader: int, uid: int) -> list[ListeningSocket]:
    """The sockets on which a command and its descendants listen, as far as they can be seen."""
    owned = sockets_of(mark, leader, uid)
    return [one for one in (*on_tcp(), *on_unix()) if one.inode in owned.inodes]


def of_processes(pids: Iterable[int]) -> list[ListeningSocket]:
    """The sockets on which these processes listen, as far as they can be seen."""
    inodes = {inode for pid in pids for inode in _sockets(pid)[0]}
    return [one for one in (*on_tcp(), *on_unix()) if one.inode in inodes]


def in_words(mark: str, leader: int, uid: int) -> str:
    """Where a command and its descendants listen, that were to listen elsewhere."""
    owned = sockets_of(mark, leader, uid)
    found = [str(one) for one in (*on_tcp(), *on_unix()) if one.inode in owned.inodes]
    if not found:
        seen = "the app listens nowhere"
        return seen if owned.is_complete else "where the app listens cannot be seen"
    others = " and others" if len(found) > MOST_SHOWN else ""
    return f"the app listens on {', '.join(found[:MOST_SHOWN])}{others}"


def sockets_of(mark: str, leader: int, uid: int) -> Owned:
    """The sockets of a command, known by its mark and its pid, and of its descendants.

    It runs as `uid`. What marks its descendants can be read by everybody, and so be imitated: one
    that runs as another user counts only if it is in the process group, or if its parents lead to
    the command.
    """
    inodes: dict[int, Path] = {}
    is_complete = True
    for pid in (leader, *procfs.family(mark, leader)):
        if procfs.uid_of(pid) == uid or _is_descendant(pid, leader):
            found, all_seen = _sockets(pid)
            inodes |= found
            is_complete = is_complete and all_seen
    return Owned(inodes, is_complete)


def described(listener: ListeningSocket) -> str:
    """A socket and whose it is, in words."""
    who = _name(listener.uid)
    return f"{listener} was opened by {_holder([listener])} of user {who}"


def holder(port: int) -> ProcessInfo:
    """Who listens on this TCP port, as far as we may know."""
    return _holder([one for one in on_tcp() if one.port == port])


def _holder(listeners: Sequence[ListeningSocket]) -> ProcessInfo:
    inodes = {one.inode for one in listeners}
    until = time.monotonic() + LONGEST_LOOK
    for pid in procfs.pids() if inodes else ():
        if time.monotonic() > until:
            break
        if inodes & _sockets(pid)[0].keys():
            return ProcessInfo(pid, procfs.command(pid))
    return ProcessInfo(0, "")


def _is_descendant(pid: int | None, leader: int) -> bool:
    for _ in range(MOST_PARENTS):
        if pid is None or pid == leader or procfs.group_of(pid) == leader:
            return pid is not None
        pid = procfs.parent_of(pid)
    return False


def is_held(inode: int, descriptor: Path) -> bool:
    """Whether this socket still is what the descriptor there stands for."""
    try:
        return str(descriptor.readlink()) == f"socket:[{inode}]"
    except OSError:
        return False


def _sockets(pid: int) -> tuple[dict[int, Path], bool]:
    """The inodes of a process's sockets, each with a descriptor, and whether all could be seen."""
    found: dict[int, Path] = {}
    try:
        for count, descriptor in enumerate((PROC / str(pid) / "fd").iterdir()):
            if count == MOST_DESCRIPTORS:
                return found, False
            with suppress(FileNotFoundError):  # It was closed.
                kind, _, inode = str(descriptor.readlink()).partition(":[")
                if kind == "socket":
                    found[int(inode.rstrip("]"))] = descriptor
    except PermissionError:
        return found, False
    except (FileNotFoundError, ProcessLookupError):
        pass  # It has ended.
    return found, True


def _address(text: str, family: socket.AddressFamily) -> tuple[str, int]:
    """From words of 32 bits in hexadecimal, each of which is in the order of this machine."""
    host, port = text.split(":")
    words = [int(host[at : at + 8], 16) for at in range(0, len(host), 8)]
    packed = b"".join(word.to_bytes(4, sys.byteorder) for word in words)
    return socket.inet_ntop(family, packed), int(port, 16)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
