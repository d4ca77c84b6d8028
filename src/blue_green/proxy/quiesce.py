"""All clients at rest: what an upgrade in place waits for, and then takes along.

At rest is a client that waits for nothing of ours: it has no request in hand, or one that was read
and judged and waits at the gate, so that no backend has seen anything of it. Then a connection is
its descriptor and what was received and not dealt with, and somebody else can go on with it.
"""

import select
from collections.abc import Collection, Iterator
from contextlib import contextmanager

import trio

from blue_green.proxy.client import NEVER, Client
from blue_green.proxy.shared import Shared
from blue_green.system.handover import HandedClient

LOOK_EVERY = 0.002
"""Seconds between looks. Upgrades are rare, and a request should not have to tell of its end."""


TO_HEAR_OF_IT = 1.0
"""Seconds in which clients with TLS that are busy hear that their connection ends."""
TO_SAY_SOMETHING = 1.0
"""Seconds in which a client with TLS may send its first request, and finish its handshake."""
LOOK_AT_TLS_EVERY = 0.02


@contextmanager
def last_requests_with_tls(shared: Shared) -> Iterator[None]:
    """In this block, each response with TLS says that its connection ends with it.

    A client that hears of the end loses nothing by it. One whose next request is on its way could.
    """
    shared.closing_tls = True
    try:
        yield
    finally:
        shared.closing_tls = False


@contextmanager
def nobody_comes_in(shared: Shared) -> Iterator[None]:
    """In this block no connection is accepted: who comes waits in the kernel."""
    shared.door = trio.Event()
    try:
        yield
    finally:
        shared.door.set()
        shared.door = None


@contextmanager
def no_beginnings(shared: Shared) -> Iterator[None]:
    """In this block no request begins: what clients send stays in the kernel."""
    shared.resting = trio.Event()
    try:
        yield
    finally:
        shared.resting.set()
        shared.resting = None


async def part_with_tls(clients: Collection[Client]) -> None:
    """Let the connections with TLS end: each with a response, or after long silence.

    Who shakes hands or has just done that, and who has sent something, gets an answer first.
    """
    newcomers = {client for client in clients if _goes_on(client) and not client.served}
    may_be_silent_until = trio.current_time() + TO_SAY_SOMETHING
    while going_on := [client for client in clients if _goes_on(client)]:
        is_over = trio.current_time() >= may_be_silent_until
        for client in going_on:
            may_end = is_over or client not in newcomers
            if may_end and client.is_idle and not client.head and not has_unread(client):
                client.end()
        await trio.sleep(LOOK_AT_TLS_EVERY)


def _goes_on(client: Client) -> bool:
    return not (client.transport.is_plain or client.is_stream or client.is_parting)


def has_unread(client: Client) -> bool:
    """Whether it has sent something that was not looked at yet, or has ended."""
    if client.transport.buffer:
        return True
    poll = select.poll()
    poll.register(client.transport.sock, select.POLLIN)
    return bool(poll.poll(0))


async def until_at_rest(clients: Collection[Client]) -> None:
    """Wait until they are, but for those whose streams go on."""
    while any(_is_busy(client) for client in clients):
        await trio.sleep(LOOK_EVERY)


def hand_over(clients: Collection[Client]) -> tuple[HandedClient, ...]:
    """What there is to know of those that can be taken along: who waits first comes first.

    Streams cannot, and neither can TLS, whose keys are in this program's memory.
    """
    return tuple(
        HandedClient(
            descriptor=client.transport.sock.fileno(),
            address=client.address,
            unread=(client.head + client.transport.buffer).decode("latin-1"),
            served=client.served,
            redirects=client.redirects,
        )
        for client in sorted(clients, key=lambda client: client.held_since or NEVER)
        if _is_at_rest(client) and client.transport.is_plain
    )


def take_up(client: Client, handed: HandedClient) -> None:
    """Go on where the program before us stopped."""
    client.transport.buffer = handed.unread.encode("latin-1")
    client.served = handed.served


def _is_at_rest(client: Client) -> bool:
    return client.is_reading or client.held_since is not None


def _is_busy(client: Client) -> bool:
    """It would lose something."""
    if client.is_stream or client.is_parting:
        return False
    return not (_is_at_rest(client) and client.transport.is_plain)
