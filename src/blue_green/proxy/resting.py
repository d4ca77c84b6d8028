"""All clients at rest: what an upgrade in place waits for, and then takes along.

At rest is a client that waits for nothing of ours: it has no request in hand, or one that was read
and judged and waits at the gate, so that no backend has seen anything of it. Then a connection is
its descriptor and what was received and not dealt with, and somebody else can go on with it.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

import trio

from blue_green.handover import HandedClient
from blue_green.proxy.client import NEVER, Client
from blue_green.proxy.shared import Shared

LOOK_EVERY = 0.002
"""Seconds between looks. Upgrades are rare, and a request should not have to tell of its end."""


@contextmanager
def no_beginnings(shared: Shared) -> Iterator[None]:
    """In this block no request begins: what clients send stays in the kernel."""
    shared.resting = trio.Event()
    try:
        yield
    finally:
        shared.resting.set()
        shared.resting = None


async def until_at_rest(clients: Collection[Client]) -> None:
    """Wait until they are, but for those whose tunnels go on."""
    while any(_is_busy(client) for client in clients):
        await trio.sleep(LOOK_EVERY)


def hand_over(clients: Collection[Client]) -> tuple[HandedClient, ...]:
    """What there is to know of those that can be taken along: who waits first comes first.

    Tunnels cannot, and neither can TLS, whose keys are in this program's memory.
    """
    return tuple(
        HandedClient(
            descriptor=client.wire.sock.fileno(),
            address=client.address,
            unread=(client.head + client.wire.pushed).decode("latin-1"),
            served=client.served,
            redirects=client.redirects,
        )
        for client in sorted(clients, key=lambda client: client.held_since or NEVER)
        if _is_at_rest(client) and client.wire.is_plain
    )


def take_up(client: Client, handed: HandedClient) -> None:
    """Go on where the program before us stopped."""
    client.wire.pushed = handed.unread.encode("latin-1")
    client.served = handed.served


def _is_at_rest(client: Client) -> bool:
    return client.is_reading or client.held_since is not None


def _is_busy(client: Client) -> bool:
    """It would lose something. Who has an idle connection with TLS opens another one."""
    if _is_at_rest(client):
        return client.held_since is not None and not client.wire.is_plain
    return not (client.is_tunnel or client.is_parting)
