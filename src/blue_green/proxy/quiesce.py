"""Bring all clients to rest: what an upgrade in place waits for before it takes them along.

A client is at rest if it needs nothing of this process: it has no request, or one whose head was
read and that waits at the gate, so that no backend has seen anything of it. Then a connection is
its descriptor and the bytes that were received and not used, and another process can go on with it.
"""

import select
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager

import trio

from blue_green.proxy.client import Client
from blue_green.proxy.client_state import READING, ClientState
from blue_green.proxy.shared import Shared
from blue_green.system.handover import HandedClient

POLL_INTERVAL = 0.002
"""Seconds between polls. Upgrades are rare, and requests should do no work to report their end."""
FINISH_POLL_INTERVAL = 0.05
"""The same, while others are served."""

TLS_NOTICE = 1.0
"""Seconds in which busy clients with TLS get a response that announces the close."""
TLS_FIRST_REQUEST = 1.0
"""Seconds in which a client with TLS may finish its handshake and send its first request."""
TLS_LINGER = 0.3
"""Seconds in which clients with TLS may read what they were sent last, and close their side."""
TLS_POLL_INTERVAL = 0.02
STREAMS_NOTICE = 1.1
"""Seconds in which clients with HTTP/2 read that they should begin no more streams."""


@contextmanager
def last_requests_with_tls(shared: Shared, clients: Collection[Client]) -> Iterator[None]:
    """In this block, each response with TLS announces that its connection is closed after it.

    A client that reads the announcement loses nothing; one that has already sent its next request
    may lose that. In HTTP/2, nothing is lost, and the announcement needs no response. It is sent to
    idle clients at once, since some may be asleep, and to the others when nothing else is left to
    do: they will connect again at once.
    """
    shared.closing_tls = True
    announce_to_idle(clients)
    try:
        yield
    finally:
        shared.closing_tls = shared.last_streams = False


def announce_to_idle(clients: Collection[Client]) -> None:
    """Ask the idle clients with HTTP/2 to begin no more streams."""
    for client in list(clients):
        if client.is_idle:
            client.announce_last_requests()


def announce_last_streams(shared: Shared, clients: Collection[Client]) -> None:
    """Ask all clients with HTTP/2 to begin no more streams, and those that are connecting, too."""
    shared.last_streams = True
    for client in list(clients):
        client.announce_last_requests()


async def until_no_stream_begins(shared: Shared, clients: Collection[Client]) -> None:
    """Announce the last streams, and wait a moment until all clients have read that."""
    announce_last_streams(shared, clients)
    with trio.move_on_after(STREAMS_NOTICE):
        while any(it.can_announce and not it.sends_last_requests for it in clients):
            await trio.sleep(POLL_INTERVAL)


@contextmanager
def no_new_connections(shared: Shared) -> Iterator[None]:
    """Accept no connections in this block: new ones wait in the kernel's queue."""
    shared.accept_paused = trio.Event()
    try:
        yield
    finally:
        shared.accept_paused.set()
        shared.accept_paused = None


@contextmanager
def no_new_requests(shared: Shared) -> Iterator[None]:
    """Begin no requests in this block: what clients send stays in the kernel."""
    shared.quiesced = trio.Event()
    try:
        yield
    finally:
        shared.quiesced.set()
        shared.quiesced = None


@asynccontextmanager
async def at_rest(
    shared: Shared, clients: Collection[Client], accepted: Callable[[], int], timeout: float
) -> AsyncIterator[None]:
    """Wait until all clients are at rest, and keep them so in this block.

    `accepted` returns how many connections there are, also those whose task has not begun. Raises
    `trio.TooSlowError`, and everything goes on.
    """
    with last_requests_with_tls(shared, clients):
        if any(not client.transport.is_plain for client in clients):
            await trio.sleep(TLS_NOTICE)
        with no_new_connections(shared):
            with trio.fail_after(timeout) as limit:
                while len(clients) < accepted():
                    await trio.lowlevel.checkpoint()
                await close_tls(shared, clients)
            with no_new_requests(shared):
                with trio.fail_at(limit.deadline):
                    await until_at_rest(clients)
                yield


async def close_tls(shared: Shared, clients: Collection[Client]) -> None:
    """Wait until the connections with TLS have ended: each with a response, or while idle.

    One in its handshake or just after it, and one that has sent something, gets a response first.
    """
    announce_last_streams(shared, clients)
    newcomers = {client for client in clients if _goes_on(client) and not client.served}
    may_be_silent_until = trio.current_time() + TLS_FIRST_REQUEST
    while going_on := [client for client in clients if _goes_on(client)]:
        is_over = trio.current_time() >= may_be_silent_until
        for client in going_on:
            may_end = is_over or client not in newcomers
            if client.can_announce or not may_end:
                continue
            if client.is_idle and not client.head and not has_unread(client):
                client.shut_down()
        await trio.sleep(TLS_POLL_INTERVAL)
    with trio.move_on_after(TLS_LINGER):
        while any(client.is_closing and not client.transport.is_plain for client in clients):
            await trio.sleep(TLS_POLL_INTERVAL)


def _goes_on(client: Client) -> bool:
    return not (client.transport.is_plain or client.is_stream or client.is_closing)


def has_unread(client: Client) -> bool:
    """Whether the client has sent bytes that were not read, or has closed its side."""
    if client.transport.buffer:
        return True
    poll = select.poll()
    poll.register(client.transport.sock, select.POLLIN)
    return bool(poll.poll(0))


async def until_finished(clients: Collection[Client], timeout: float) -> int:
    """Wait for the requests in flight, while others begin; how many are left after `timeout`."""
    left = {client: client.request for client in clients if client.is_in_flight}
    with trio.move_on_after(timeout):
        while left:
            await trio.sleep(FINISH_POLL_INTERVAL)
            left = {
                client: left[client]
                for client in left.keys() & set(clients)
                if client.is_in_flight and client.request is left[client]
            }
    return len(left)


async def until_at_rest(clients: Collection[Client]) -> None:
    """Wait until all are at rest, except those with streams."""
    while any(_is_busy(client) for client in clients):
        await trio.sleep(POLL_INTERVAL)


def hand_over(clients: Collection[Client]) -> tuple[HandedClient, ...]:
    """The state of those that can be taken along, in the order in which they wait at the gate.

    Streams cannot, and neither can TLS, whose keys are in this process's memory.
    """
    return tuple(
        HandedClient(
            descriptor=client.transport.sock.fileno(),
            address=client.remote.address,
            unread=unprocessed(client).decode("latin-1"),
            served=client.served,
            redirects=client.redirects,
        )
        for client in sorted(clients, key=lambda client: client.held_since)
        if may_move(client)
    )


def take_up(client: Client, handed: HandedClient) -> None:
    """Go on where the process before us stopped."""
    client.transport.buffer = handed.unread.encode("latin-1")
    client.served = handed.served


def _is_busy(client: Client) -> bool:
    """Whether the client would lose a request or a response now."""
    return not (client.is_stream or client.is_closing or may_move(client))


def may_move(client: Client) -> bool:
    """Whether another process can take over the connection: no backend has seen its request, and
    all that was received of it is in memory."""
    can_be_handed_over = client.state in READING or client.state is ClientState.HELD
    is_in_memory = client.received is None or client.received.is_in_memory
    return can_be_handed_over and is_in_memory and client.transport.is_plain


def unprocessed(client: Client) -> bytes:
    """What was received and no backend has seen."""
    received = client.received.as_received if client.received else b""
    return client.head + received + client.transport.buffer
