"""The places for clients: one for each connection, and one for each request on one of HTTP/2."""

import logging
import math
import time

import trio

from blue_green.proxy.client import Client
from blue_green.proxy.client_table import LOOK_AGAIN, ClientTable
from blue_green.proxy.occupancy import Occupancy

logger = logging.getLogger(__name__)

REMIND = 60.0
"""Seconds between lines in the log about the same."""
EVICTS = "idle and slow ones are closed in favour of new ones"
REFUSES = "requests on open connections with HTTP/2 are refused, and clients repeat them"


class Places:
    """How many places there are and who has them."""

    def __init__(self, occupancy: Occupancy) -> None:
        self.clients = ClientTable()
        self.taken = 0
        """Also by connections whose task has not begun, and which are not in the table yet."""
        self._most = 0
        self._fewer = trio.lowlevel.ParkingLot()
        self._occupancy = occupancy
        self._logged_at: dict[str, float] = {}
        """When it was logged last that all places are taken, by what follows from it."""
        self.refused_streams = 0
        """How many requests on a connection that has a place got none."""

    @property
    def are_taken(self) -> bool:
        return self.taken >= self._most

    def use(self, most: int) -> None:
        """Have so many places from now on. Nobody loses one."""
        self._most = most
        self._occupancy.note(self.taken)
        self._fewer.unpark_all()  # There may be more places than before.

    def take(self) -> None:
        self.taken += 1
        self._occupancy.note(self.taken)

    def free(self) -> None:
        self.taken -= 1
        self._occupancy.note(self.taken)
        self._fewer.unpark_all()

    def admit(self, client: Client) -> bool:
        """Give a place to a request on a connection that has one; False if none is free.

        Then a client that has been idle loses its own, so that the next request may get it.
        """
        if self.are_taken and not self._evict():
            self.refused_streams += 1
            self._log(REFUSES)
            return False
        self.take()
        self.clients.add(client)
        return True

    def dismiss(self, client: Client) -> None:
        self.clients.remove(client)
        self.free()

    async def wait_for_one(self, *, may_evict: bool) -> None:
        """Wait a moment for a place to become free; evict a client if that is allowed."""
        if may_evict:
            self._evict()
        with trio.move_on_after(LOOK_AGAIN):
            await self.fewer()

    async def fewer(self) -> None:
        """Wait until one is free again."""
        await self._fewer.park()

    def _evict(self) -> bool:
        if not self.clients.make_room(self._most):
            return False
        self._log(EVICTS)
        return True

    def _log(self, what: str) -> None:
        now = time.monotonic()
        if now - self._logged_at.get(what, -math.inf) >= REMIND:
            self._logged_at[what] = now
            logger.warning(
                "all %d connections are in use: %s ([proxy] max_connections)", self._most, what
            )
