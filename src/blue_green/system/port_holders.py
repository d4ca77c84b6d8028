"""Listening sockets, and the processes that hold them (proc(5), /proc/net).

Any user of the machine can open a free port. A program that opens the port of a backend that is
slow to start would answer the probes in its place, and get everybody's requests. So an answer
proves nothing until its socket is known to belong to the backend.

Everything here reads /proc, which may take milliseconds: call it in a thread.
"""

import pwd
import socket
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

from attrs import frozen

from blue_green.system import procfs
from blue_green.system.procfs import PROC, ProcessInfo

LISTEN = "0A"
"""The state of a listening socket in /proc/net/tcp, where these come first."""
ACCEPTS = 0x10000
"""The flag of a listening socket in /proc/net/unix."""
LOOPBACK, EVERYWHERE, EVERYWHERE_6 = ("127.0.0.1", "::ffff:127.0.0.1"), ("0.0.0.0",), ("::",)
"""Addresses that accept connections to 127.0.0.1, in the kernel's order of preference."""
MAX_DESCRIPTORS = 10_000
"""Descriptors of one process that are searched for sockets."""
SEARCH_TIMEOUT = 0.5
"""Seconds after which the search for the holder of a port is given up."""
MAX_SHOWN = 4
"""Sockets that a message names."""
MAX_GENERATIONS = 50
"""Parents that are looked at between a process and the command that it may descend from."""


@frozen
class ListeningSocket:
    """A listening socket."""

    where: str
    """`127.0.0.1:3000`, `[::1]:3000` or `unix:/run/app.sock`."""
    inode: int
    host: str = ""
    port: int = 0
    uid: int = -1
    """The user that opened it; unknown for Unix sockets."""

    def __str__(self) -> str:
        return self.where

    @property
    def path(self) -> str | None:
        """Of a Unix socket; one in the abstract namespace begins with `@` (unix(7))."""
        return None if self.host else self.where.removeprefix("unix:")

    @property
    def is_local(self) -> bool:
        """Whether only programs on this machine can connect to it."""
        return not self.host or ip_address(self.host.removeprefix("::ffff:")).is_loopback


@frozen
class Owned:
    """The sockets of a command and its descendants."""

    inodes: Mapping[int, Path]
    """Inode -> a descriptor for it (/proc/PID/fd/N)."""
    is_complete: bool = True
    """All of their descriptors could be seen."""


def on_tcp() -> Iterator[ListeningSocket]:
    """All listening TCP sockets of our network namespace."""
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
    """All listening Unix sockets of our network namespace."""
    with (PROC / "self/net/unix").open(errors="replace") as rows:
        next(rows, None)
        for row in rows:
            fields = row.rstrip("\n").split(maxsplit=7)
            if int(fields[3], 16) & ACCEPTS:
                yield ListeningSocket(
                    f"unix:{fields[7] if len(fields) > 7 else ''}", int(fields[6])
                )


def reached_by(port: int, listeners: Iterable[ListeningSocket]) -> list[ListeningSocket]:
    """The sockets that accept connections to this port of 127.0.0.1: several, if they share it."""
    on_port = [one for one in listeners if one.port == port]
    for hosts in (LOOPBACK, EVERYWHERE, EVERYWHERE_6):
        if found := [one for one in on_port if one.host in hosts]:
            return found
    return []


def listening_sockets_of(env_marker: str, leader: int, uid: int) -> list[ListeningSocket]:
    """The sockets on which a command and its descendants listen, as far as they can be seen."""
    return _listening(sockets_of(env_marker, leader, uid).inodes)


def listening_sockets_of_processes(pids: Iterable[int]) -> list[ListeningSocket]:
    """The sockets on which these processes listen, as far as they can be seen."""
    return _listening({inode for pid in pids for inode in _sockets(pid)[0]})


def _listening(inodes: Collection[int]) -> list[ListeningSocket]:
    return [one for one in (*on_tcp(), *on_unix()) if one.inode in inodes]


def describe_listening_sockets(env_marker: str, leader: int, uid: int) -> str:
    """On which sockets an app listens, in words."""
    owned = sockets_of(env_marker, leader, uid)
    found = [str(one) for one in _listening(owned.inodes)]
    if not found:
        is_sure = owned.is_complete
        return "the app does not listen" if is_sure else "cannot see where the app listens"
    others = " and others" if len(found) > MAX_SHOWN else ""
    return f"the app listens on {', '.join(found[:MAX_SHOWN])}{others}"


def sockets_of(env_marker: str, leader: int, uid: int) -> Owned:
    """The sockets of a command, given by its marker and its pid, and of its descendants.

    It runs as `uid`. Every user can read the marker and the tag of its descendants, and imitate
    them: a process of another user counts only if it is in the process group, or descends from the
    command.
    """
    inodes: dict[int, Path] = {}
    is_complete = True
    for pid in (leader, *procfs.descendants(env_marker, leader)):
        if procfs.uid_of(pid) == uid or _is_descendant(pid, leader):
            found, all_seen = _sockets(pid)
            inodes |= found
            is_complete = is_complete and all_seen
    return Owned(inodes, is_complete)


def describe(listener: ListeningSocket) -> str:
    """A socket and the process and user that opened it, in words."""
    user = _name(listener.uid)
    return f"{listener} was opened by {_holder([listener])} of user {user}"


def holder_of(port: int) -> ProcessInfo:
    """The process that listens on this TCP port, as far as it can be seen."""
    return _holder([one for one in on_tcp() if one.port == port])


def _holder(listeners: Sequence[ListeningSocket]) -> ProcessInfo:
    inodes = {one.inode for one in listeners}
    until = time.monotonic() + SEARCH_TIMEOUT
    for pid in procfs.pids() if inodes else ():
        if time.monotonic() > until:
            break
        if inodes & _sockets(pid)[0].keys():
            return ProcessInfo(pid, procfs.command(pid))
    return ProcessInfo(0, "")


def _is_descendant(pid: int | None, leader: int) -> bool:
    for _ in range(MAX_GENERATIONS):
        if pid is None or pid == leader or procfs.group_of(pid) == leader:
            return pid is not None
        pid = procfs.parent_of(pid)
    return False


def is_held(inode: int, descriptor: Path) -> bool:
    """Whether the descriptor is still open and refers to this socket."""
    try:
        return str(descriptor.readlink()) == f"socket:[{inode}]"
    except OSError:
        return False


def _sockets(pid: int) -> tuple[dict[int, Path], bool]:
    """The sockets of a process (inode -> descriptor), and whether all could be seen."""
    found: dict[int, Path] = {}
    try:
        for count, descriptor in enumerate((PROC / str(pid) / "fd").iterdir()):
            if count == MAX_DESCRIPTORS:
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
    """Parse hexadecimal words of 32 bits, each in the byte order of this machine."""
    host, port = text.split(":")
    words = [int(host[at : at + 8], 16) for at in range(0, len(host), 8)]
    packed = b"".join(word.to_bytes(4, sys.byteorder) for word in words)
    return socket.inet_ntop(family, packed), int(port, 16)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
