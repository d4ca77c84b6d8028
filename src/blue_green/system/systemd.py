"""The interface of systemd for services: sd_notify(3) and sd_listen_fds(3)."""

import logging
import math
import os
import socket
import time
from collections.abc import Sequence

import trio

logger = logging.getLogger(__name__)

FIRST_LISTEN_FD = 3

OURS = (
    "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "FDSTORE", "STATE_DIRECTORY",
    "LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES", "SYSTEMD_EXEC_PID",
    "JOURNAL_STREAM", "INVOCATION_ID", "MEMORY_PRESSURE_WATCH", "MEMORY_PRESSURE_WRITE",
)  # fmt: skip
"""Variables that are meant for us, and must not reach the programs that we start."""


def notify(*lines: str) -> None:
    """Notify systemd, for example of `READY=1`. Without systemd this does nothing.

    Never waits: if the socket is full, that is logged and the message is lost.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
            sock.sendto("\n".join(lines).encode(), address)
    except OSError as error:
        logger.warning("cannot notify systemd: %s", error)


async def notify_watchdog() -> None:
    """Notify the watchdog of the unit (WatchdogSec=) that the event loop runs, until cancelled.

    Twice in each period, as sd_watchdog_enabled(3) recommends.
    """
    period = os.environ.get("WATCHDOG_USEC", "")
    is_ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    is_enabled = is_ours and period.isdecimal() and int(period) > 0
    while True:
        if is_enabled:
            notify("WATCHDOG=1")
        await trio.sleep(int(period) / 2e6 if is_enabled else math.inf)


def notify_reloading() -> None:
    """Notify systemd that we are reloading, until the next `READY=1` (sd_notify(3))."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


class CannotInherit(Exception):
    """A socket from systemd is not one that a proxy can listen on."""


def inherited_descriptors() -> Sequence[int]:
    """The descriptors of the sockets that systemd opened for us."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return ()
    count = os.environ.get("LISTEN_FDS", "")
    if not count.isdecimal():
        raise CannotInherit(f"$LISTEN_FDS is {count!r}, not a number")
    return range(FIRST_LISTEN_FD, FIRST_LISTEN_FD + int(count))


def inherited_sockets() -> list[tuple[str, socket.socket]]:
    """The listening sockets that systemd opened for us, in the order of the socket units.

    Each comes with its name, which `FileDescriptorName=` gives; see sd_listen_fds_with_names(3).
    """
    descriptors = inherited_descriptors()
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    names += ["unknown"] * (len(descriptors) - len(names))
    return [(name, _inherited(number)) for name, number in zip(names, descriptors, strict=False)]


def _inherited(descriptor: int) -> socket.socket:
    try:
        os.set_inheritable(descriptor, False)
        sock = socket.socket(fileno=descriptor)
        listens = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise CannotInherit(f"descriptor {descriptor} is not a socket: {error}") from None
    if sock.type != socket.SOCK_STREAM or not listens:
        raise CannotInherit(
            f"descriptor {descriptor} is not a listening stream socket: the socket unit should "
            "have ListenStream= and Accept=no"
        )
    return sock


def is_journal(descriptor: int) -> bool:
    """Whether a descriptor leads to the journal, by $JOURNAL_STREAM (systemd.exec(5))."""
    status = os.fstat(descriptor)
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
