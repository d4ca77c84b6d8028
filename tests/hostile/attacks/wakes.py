"""Clients that wake a site and do not wait for it."""

import socket
import struct

import trio

from tests.hostile.target import TargetSite

SITE = "sleeper"
"""Another site than the one that polite clients use."""
IDLE = {"after": "500ms"}
CLIENTS = 400
PER_ADDRESS = 20
STAY = 0.1
"""Seconds for which each waits: less than the app takes to start."""
PAUSE = 2.0
"""Seconds after which the site is asleep again."""
REQUEST = b"GET / HTTP/1.1\r\nHost: %b.example.com\r\n\r\n" % SITE.encode()
RESET = struct.pack("ii", 1, 0)


async def vanishing_clients(target: TargetSite) -> None:
    """Wake the site with many requests, and vanish while it starts; again when it is asleep."""

    async def wake_and_leave(number: int) -> None:
        address = f"127.0.1.{1 + number // PER_ADDRESS}"
        try:
            async with await trio.open_tcp_stream(
                "127.0.0.1", target.port, local_address=address
            ) as stream:
                if number % 2:  # Half of them reset their connections.
                    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                await stream.send_all(REQUEST)
                await trio.sleep(STAY)
        except (OSError, trio.BrokenResourceError):
            pass

    while True:
        async with trio.open_nursery() as nursery:
            for number in range(CLIENTS):
                nursery.start_soon(wake_and_leave, number)
        await trio.sleep(PAUSE)
