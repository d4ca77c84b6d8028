"""What systemd and a service say to each other: sd_notify(3) and sd_listen_fds(3)."""

import logging
import os
import socket

logger = logging.getLogger(__name__)

FIRST_LISTEN_FD = 3

OURS = (
    "NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID", "WATCHDOG_USEC",
    "JOURNAL_STREAM", "INVOCATION_ID",
)  # fmt: skip
"""Variables that are meant for us and must not reach the programs that we start."""


def notify(*lines: str) -> None:
    """Tell systemd, for example `READY=1`. Without systemd nothing is said.

    Never waits: a full socket is logged and the message lost, since requests matter more.
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


def inherited_sockets() -> list[socket.socket]:
    """The listening sockets that systemd opened for us, in the order of the socket unit."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = int(os.environ.get("LISTEN_FDS", "0"))
    sockets = []
    for descriptor in range(FIRST_LISTEN_FD, FIRST_LISTEN_FD + count):
        os.set_inheritable(descriptor, False)
        sockets.append(socket.socket(fileno=descriptor))
    return sockets
