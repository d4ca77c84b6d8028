"""How tasks with much work share the event loop."""

from collections import Counter

import trio

from blue_green.system import throttle
from tests.support.iterations import counting_iterations

ROUNDS = 100


async def test_each_round_resumes_a_few_tasks_in_turn() -> None:
    had: Counter[int] = Counter()

    async def work(number: int) -> None:
        while True:
            await throttle.wait()
            had[number] += 1

    async with trio.open_nursery() as nursery:
        for number in range(40):
            nursery.start_soon(work, number)
        for _ in range(ROUNDS):
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert (
        (ROUNDS - 2) * throttle.TASKS_PER_ITERATION
        <= had.total()
        <= ROUNDS * throttle.TASKS_PER_ITERATION
    )
    assert max(had.values()) - min(had.values()) <= 1, had


async def test_a_single_task_waits_for_one_round() -> None:
    async with counting_iterations() as iterations:
        for _ in range(ROUNDS):
            await throttle.wait()
    assert ROUNDS - 2 <= iterations.count <= ROUNDS + 2


async def test_each_round_resumes_one_task_with_long_work() -> None:
    went_on = 0

    async def work() -> None:
        nonlocal went_on
        while True:
            await throttle.wait_for_long()
            went_on += 1

    async with trio.open_nursery() as nursery:
        for _ in range(40):
            nursery.start_soon(work)
        for _ in range(ROUNDS):
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert ROUNDS - 2 <= went_on <= ROUNDS


async def test_a_cancelled_task_leaves_its_turn_to_another() -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(40):
            nursery.start_soon(throttle.wait)
        await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    await test_each_round_resumes_a_few_tasks_in_turn()
