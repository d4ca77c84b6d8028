"""Accept the connections of a listening socket, while there is place for them."""

import errno
import logging
import socket
from collections.abc import Awaitable, Callable

import trio

from blue_green.http.connected import has_gone
from blue_green.proxy.places import Places
from blue_green.proxy.shared import Shared

logger = logging.getLogger(__name__)

MOST_GONE = 32
"""Connections accepted at once whose clients had closed them already."""
OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


async def accept_all(
    sock: socket.socket,
    places: Places,
    shared: Shared,
    nursery: trio.Nursery,
    serve: Callable[[socket.socket, object], Awaitable[None]],
) -> None:
    """Give each connection a place and a task in the nursery, until cancelled.

    The task calls `serve` with the connection and its address, and `serve` frees the place.
    """
    sock.setblocking(False)
    is_short = False
    gone = 0
    while True:
        while places.are_taken:
            await trio.lowlevel.wait_readable(sock)
            await places.wait_for_one(may_evict=shared.accept_paused is None)
        if shared.accept_paused is not None:
            await shared.accept_paused.wait()
        try:
            accepted, address = sock.accept()
        except BlockingIOError:
            await trio.lowlevel.wait_readable(sock)
            continue
        except OSError as error:
            if error.errno not in OUT_OF_RESOURCES:
                await trio.lowlevel.checkpoint()
                continue  # That one connection was gone before we accepted it (accept(2)).
            if not is_short:
                logger.error("no more connections for now: %s", error.strerror)
            is_short = True
            await trio.sleep(0.1)
            continue
        is_short = False
        if has_gone(accepted):
            # There may be thousands of these in the backlog.
            accepted.close()
            gone += 1
            if gone % MOST_GONE == 0:
                await trio.lowlevel.checkpoint()
            continue
        places.take()
        nursery.start_soon(serve, accepted, address)
        # One at a time: trio may run tasks that are started together in any order, and the first
        # client must be the first at the gate.
        await trio.lowlevel.checkpoint()
