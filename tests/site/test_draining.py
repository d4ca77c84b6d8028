"""Draining: which requests it waits for, and how it closes streams."""

import pytest
import trio
from trio.testing import MockClock

from blue_green.routing.lease import Lease, Outcome
from blue_green.site.draining import CLOSE_TIMEOUT, close_streams, drain
from tests.support.gates import a_gate, a_target, note


async def test_draining_ends_when_the_last_request_does(autojump_clock: MockClock) -> None:
    gate, target = a_gate(), a_target()
    gate.switch([target])
    leases = [await gate.acquire() for _ in range(2)]

    async def finish() -> None:
        for lease in leases:
            await trio.sleep(1)
            lease.end(Outcome.RESPONDED)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(finish)
        began = trio.current_time()
        assert await drain([target], 10) == 0
        assert trio.current_time() - began == pytest.approx(2)


async def test_draining_gives_up_after_its_timeout_and_returns_what_is_left(
    autojump_clock: MockClock,
) -> None:
    gate, target = a_gate(), a_target()
    gate.switch([target])
    for _ in range(3):
        await gate.acquire()
    assert await drain([target], 10) == 3


async def test_draining_can_be_tried_again_and_awaited_twice(
    autojump_clock: MockClock,
) -> None:
    gate, target = a_gate(), a_target()
    gate.switch([target])
    lease = await gate.acquire()
    left = [await drain([target], 10)]

    async def wait() -> None:
        left.append(await drain([target], 10))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        nursery.start_soon(wait)
        await trio.sleep(3)
        lease.end(Outcome.RESPONDED)
    assert left == [1, 0, 0]
    assert trio.current_time() == pytest.approx(13)


async def test_draining_does_not_wait_for_streams(autojump_clock: MockClock) -> None:
    gate, target = a_gate(), a_target()
    gate.switch([target])
    (await gate.acquire()).become_stream()
    assert await drain([target], 10) == 0
    assert trio.current_time() == 0


async def test_streams_are_closed_evenly_over_the_given_time(autojump_clock: MockClock) -> None:
    gate, target = a_gate(), a_target()
    gate.switch([target])
    closed: list[float] = []

    def close(lease: Lease) -> bool:
        closed.append(trio.current_time())
        lease.end(Outcome.CUT)
        return True

    for _ in range(4):
        lease = await gate.acquire()
        lease.become_stream()
        lease.cut = lambda lease=lease: close(lease)
    await close_streams([target], 60)
    assert closed == pytest.approx([15, 30, 45, 60])
    assert gate.tally.cut == 4


async def test_streams_that_close_slowly_are_closed_one_after_the_other_too(
    autojump_clock: MockClock,
) -> None:
    gate, target = a_gate(), a_target()
    gate.switch([target])
    closed: list[float] = []
    for _ in range(3):
        lease = await gate.acquire()
        lease.become_stream()
        lease.cut = lambda: note(closed, trio.current_time())
    await close_streams([target], 60)
    assert closed[:3] == pytest.approx([20, 40, 60])
    assert closed[3:] == pytest.approx([60 + CLOSE_TIMEOUT] * 3), (
        "their connections were not closed"
    )


async def test_waiting_for_streams_ends_when_they_have_ended(autojump_clock: MockClock) -> None:
    gate, target = a_gate(), a_target()
    gate.switch([target])
    lease = await gate.acquire()
    lease.become_stream()

    async def end() -> None:
        await trio.sleep(3)
        lease.end(Outcome.RESPONDED)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(end)
        await close_streams([target], 60)
        assert trio.current_time() == pytest.approx(3)
