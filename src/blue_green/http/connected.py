"""What the kernel knows of a connected socket, and addresses in their usual form."""

import socket
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

TCP_CLOSE, TCP_CLOSE_WAIT = 7, 8
"""Values of `tcpi_state` (linux/tcp.h)."""
MOST_CACHED = 4096


def has_gone(sock: socket.socket) -> bool:
    """Whether the other side has closed the connection, even if unread bytes remain (tcp(7))."""
    try:
        state = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    except OSError:  # It is not TCP.
        return False
    return state in (TCP_CLOSE, TCP_CLOSE_WAIT)


def local_address(sock: socket.socket) -> str:
    """The IP address to which the other side connected; empty for Unix sockets."""
    name = sock.getsockname()
    return plain_address(name[0]) if isinstance(name, tuple) else ""


@lru_cache(MOST_CACHED)
def plain_address(host: str) -> str:
    """An address in its usual form: IPv4 that arrived on an IPv6 socket is written as IPv4."""
    ip: IPv4Address | IPv6Address = ip_address(host.partition("%")[0])
    mapped = ip.ipv4_mapped if isinstance(ip, IPv6Address) else None
    return str(mapped or ip)
