"""Requests that come to a gate one after the other, without network."""

from collections.abc import Awaitable, Callable

import trio
from trio.testing import wait_all_tasks_blocked

from blue_green.routing.gate import Gate
from blue_green.routing.lease import Lease
from blue_green.routing.wait_queue import Refused


class Arrivals:
    """Requests that come to the gate one after the other, and how each of them fared."""

    def __init__(self, gate: Gate, nursery: trio.Nursery) -> None:
        self.gate = gate
        self.nursery = nursery
        self.went: list[int] = []
        self.refused: list[int] = []
        self.leases: dict[int, Lease] = {}
        self.scopes: dict[int, trio.CancelScope] = {}

    async def comes(self, *numbers: int) -> None:
        """Each takes its place before the next one comes."""
        for number in numbers:
            self.scopes[number] = trio.CancelScope()
            self.nursery.start_soon(self._request, number)
            await wait_all_tasks_blocked()

    async def _request(self, number: int) -> None:
        with self.scopes[number]:
            try:
                self.leases[number] = await self.gate.acquire()
            except Refused:
                self.refused.append(number)
            else:
                self.went.append(number)


Scenario = Callable[[Gate, Arrivals], Awaitable[None]]


async def play(gate: Gate, scenario: Scenario) -> None:
    async with trio.open_nursery() as nursery:
        await scenario(gate, Arrivals(gate, nursery))
        nursery.cancel_scope.cancel()
