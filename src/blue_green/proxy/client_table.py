"""The table of all client connections: their deadlines, and which one is evicted when it is full.

Without eviction, a few programs that connect and do nothing would keep all others out. Only clients
that we wait for are evicted: those that have not sent a request yet or are idle between requests,
send a head byte by byte, read a response or send a body too slowly, or whose connection is closing.
A request that is held or at a backend, or a stream whose client reads it, is never evicted.

Clients of an address that has more than a tenth of the table are evicted first, then idle ones,
then slow ones; among equals the one that we have waited for longest. With few connections that is
exact. With many, only a random sample is compared, so that accepting a connection takes constant
time, and requests need not keep an ordered list.
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator

import trio

from blue_green.proxy import share
from blue_green.proxy.client import Client
from blue_green.proxy.client_state import ClientState
from blue_green.proxy.quiesce import has_unread

SAMPLE = 24
SAMPLES = 4
"""How many samples are drawn, at most, to find a client that can be evicted."""
TENTH = 10
LOOK_AGAIN = 0.1
"""Seconds between attempts to evict one."""


class ClientTable:
    """All client connections of one server."""

    def __init__(self) -> None:
        self._clients: list[Client] = []
        self._at: dict[Client, int] = {}
        """The index of each client in `_clients`."""
        self._of: Counter[str] = Counter()
        """The number of connections of each address."""

    def __iter__(self) -> Iterator[Client]:
        return iter(self._clients)

    def __len__(self) -> int:
        return len(self._clients)

    def __contains__(self, client: object) -> bool:
        return client in self._at

    def add(self, client: Client) -> None:
        self._at[client] = len(self._clients)
        self._clients.append(client)
        self._of[share.of_address(client.remote.address)] += 1

    def remove(self, client: Client) -> None:
        last = self._clients.pop()
        index = self._at.pop(client)
        if last is not client:
            self._clients[index] = last
            self._at[last] = index
        owner = share.of_address(client.remote.address)
        self._of[owner] -= 1
        if not self._of[owner]:
            del self._of[owner]

    async def enforce_deadlines(self, interval: Callable[[], float]) -> None:
        """End the clients whose deadline has passed, looking at this interval, until cancelled."""
        while True:
            await trio.sleep(interval())
            now = time.monotonic()
            for client in self._clients:
                if client.deadline < now:
                    client.time_out()

    def make_room(self, most: int) -> bool:
        """Evict one of at most `most` connections; False if none can be."""
        for _ in range(SAMPLES if len(self._clients) > SAMPLE else 1):
            sample = self._clients
            if len(sample) > SAMPLE:
                sample = random.choices(sample, k=SAMPLE)
            awaited = [client for client in sample if client.may_be_evicted]
            for client in sorted(awaited, key=lambda client: self._rank(client, most)):
                has_asked = client.state is ClientState.AWAITING_REQUEST and has_unread(client)
                if not has_asked:
                    client.evict()
                    return True
        return False

    def _rank(self, client: Client, most: int) -> tuple[bool, bool, float]:
        """The lowest is evicted. A proxy that forwards requests of many clients may have many."""
        owner = share.of_address(client.remote.address)
        has_too_many = self._of[owner] > most / TENTH
        may_have_many = owner == share.NOBODY or client.remote.trusted
        return not has_too_many or may_have_many, not client.is_silent, client.awaited_since
