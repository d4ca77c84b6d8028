"""The places for client connections: who has one, and who gives way when there is none left.

Somebody must, or else a few programs that connect and do nothing keep everybody out. Only a client
that we wait for does: one that has not asked for anything yet or is silent between requests,
sends its head byte by byte, takes an answer or sends a body too slowly, or whose connection is
ending. A request that is held or at a backend, and a stream that is read, never give way.

The one that has been waited for longest gives way, an idle one before one that is slow; but first
one of an address that has more than a tenth of all places. Of a few connections that is exact. Of
many, a random sample is judged: then a new connection costs the same however many there are, and
requests need not keep them in an order. The sample's longest wait is among the longest of all.
"""

import logging
import random
from collections import Counter
from collections.abc import Iterator

import trio

from blue_green.proxy import share
from blue_green.proxy.client import NEVER, Client
from blue_green.proxy.quiesce import has_unread

logger = logging.getLogger(__name__)

SAMPLE = 24
SAMPLES = 4
"""How many are drawn at most, until one has somebody in it who can give way."""
TENTH = 10
LOOK_AGAIN = 0.1
"""Seconds after which somebody is looked for again who can give way."""
REMIND = 60.0
"""Seconds until it is logged again that connections give way."""


class Places:
    """All client connections."""

    def __init__(self) -> None:
        self._clients: list[Client] = []
        self._at: dict[Client, int] = {}
        """Where each is in the list."""
        self._of: Counter[str] = Counter()
        """How many each address has."""
        self._logged_at = -NEVER

    def __iter__(self) -> Iterator[Client]:
        return iter(self._clients)

    def __len__(self) -> int:
        return len(self._clients)

    def __contains__(self, client: object) -> bool:
        return client in self._at

    def add(self, client: Client) -> None:
        self._at[client] = len(self._clients)
        self._clients.append(client)
        self._of[share.of_address(client.address)] += 1

    def remove(self, client: Client) -> None:
        last = self._clients.pop()
        place = self._at.pop(client)
        if last is not client:
            self._clients[place] = last
            self._at[last] = place
        owner = share.of_address(client.address)
        self._of[owner] -= 1
        if not self._of[owner]:
            del self._of[owner]

    def make_room(self, most: int) -> None:
        """End the connection that has to give way, if there is one; `most` is all that may be."""
        for _ in range(SAMPLES if len(self._clients) > SAMPLE else 1):
            sample = self._clients
            if len(sample) > SAMPLE:
                sample = random.choices(sample, k=SAMPLE)
            awaited = [c for c in sample if c.awaited_since < NEVER and not c.is_ended]
            for client in sorted(awaited, key=lambda client: self._rank(client, most)):
                has_asked = client.is_reading and not client.head and has_unread(client)
                if not has_asked:
                    client.give_way()
                    self._log(most)
                    return

    def _rank(self, client: Client, most: int) -> tuple[bool, bool, float]:
        """Who has the lowest gives way. Who passes on requests of many may have many places."""
        owner = share.of_address(client.address)
        has_too_many = self._of[owner] > most / TENTH
        may_have_many = owner == share.NOBODY or client.trusted
        return not has_too_many or may_have_many, not client.is_silent, client.awaited_since

    def _log(self, most: int) -> None:
        now = trio.current_time()
        if now - self._logged_at >= REMIND:
            self._logged_at = now
            logger.warning(
                "all %d connections are taken: those that are idle or slow are closed in favour of "
                "new ones ([proxy] max_connections)", most,
            )  # fmt: skip
